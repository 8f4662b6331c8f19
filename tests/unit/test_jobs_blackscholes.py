"""jobs/blackscholes: prices that other code agrees with, the same for any number of threads."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker import inside

JOB = Path(__file__).parents[2] / "jobs" / "blackscholes"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bin") / "blackscholes"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-pthread"]
    subprocess.run(["gcc", *flags, "-o", str(path), str(JOB / "blackscholes.c"), "-lm"], check=True)
    return path


def run(*command: object, data: bytes = b"", **environment: str) -> bytes:
    done = subprocess.run([*map(str, command)], input=data, capture_output=True, check=True, env=environment)
    return done.stdout


def test_prices_agree_with_other_code_for_any_width(program: Path) -> None:
    options = run(sys.executable, JOB / "options.py", 2001)
    prices = run(program, data=options)
    for width in ("2", "7", "64", "0", "nonsense"):
        assert run(program, data=options, DC_WIDTH=width) == prices
    reference = run(sys.executable, JOB / "reference.py", data=options)
    pairs = zip(prices.split(), reference.split(), strict=True)
    assert max(abs(float(one) - float(other)) for one, other in pairs) < 1e-7


def test_its_header_is_the_one_that_containers_have() -> None:
    assert (JOB / "dockercomp.h").read_bytes() == Path(inside.__file__).with_name("dockercomp.h").read_bytes()


def test_fewer_options_than_threads_and_none(program: Path) -> None:
    assert run(program, data=b"100 100 0.05 0.2 1 C", DC_WIDTH="8") == b"10.45058357\n"
    assert run(program) == b""


@pytest.mark.parametrize("line", [b"100 100 0.05 0.2 1", b"100 100 x 0.2 1 C", b"100 100 0.05 0.2 1 X", b"0 1 0 1 1 C"])
def test_what_is_no_option_is_named_by_its_line(program: Path, line: bytes) -> None:
    data = b"100 100 0.05 0.2 1 C\n" + line + b"\n"
    done = subprocess.run([str(program)], input=data, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"line 2: " in done.stderr
