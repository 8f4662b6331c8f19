"""jobs/pairsum: sums of pairs, exact for numbers of any size, in order whatever the split."""

import subprocess
import sys
from pathlib import Path

import pytest

from dockercomp import jobfolder

JOB = Path(__file__).parents[2] / "jobs" / "pairsum"


def run(program: str, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(JOB / program), *arguments], input=data, capture_output=True, check=False
    )


@pytest.mark.parametrize("per_chunk", [1000, 99])
def test_the_chunks_joined_are_the_sums_in_order(per_chunk: int) -> None:
    lines = run("generate.py", "300", "7").stdout.splitlines(keepends=True)
    chunks = [b"".join(lines[at : at + per_chunk]) for at in range(0, len(lines), per_chunk)]
    found = b"".join(run("pairsum.py", data=chunk).stdout for chunk in chunks)
    expected = [int(line.split()[0]) + int(line.split()[1]) for line in lines]
    assert [int(line) for line in found.splitlines()] == expected
    assert len(expected) == 300


def test_numbers_of_any_size_are_exact() -> None:
    assert run("pairsum.py", data=b"9007199254740993 1\n-5 -6\n1" + b"0" * 40 + b" 1").stdout == (
        b"9007199254740994\n-11\n1" + b"0" * 39 + b"1\n"
    )


@pytest.mark.parametrize("line", [b"1\n", b"1 2 3\n", b"1 x\n", b"1.5 2\n", b"\n"])
def test_what_is_no_pair_fails_and_is_shown(line: bytes) -> None:
    done = run("pairsum.py", data=b"1 2\n" + line)
    assert done.returncode == 1
    assert b"not a pair of whole numbers" in done.stderr


def test_the_same_seed_gives_the_same_pairs() -> None:
    assert run("generate.py", "50", "3").stdout == run("generate.py", "50", "3").stdout
    assert run("generate.py", "50", "3").stdout != run("generate.py", "50", "4").stdout


def test_the_folder_can_be_submitted() -> None:
    assert jobfolder.load(JOB).spec.reduce is None
