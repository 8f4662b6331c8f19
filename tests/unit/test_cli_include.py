"""`dockercomp include`: a fresh folder gets what its program needs to build and run, with no worker anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockercomp import cli

C = """
#include "dockercomp.h"
#include <stdio.h>
static void square(void *data, size_t from, size_t to) {
    for (size_t n = from; n < to; n++) ((int *)data)[n] = (int)(n * n);
}
int main(void) {
    int squares[10];
    dc_pool *pool = dc_pool_new(1);
    if (!pool || dc_pool_for(pool, 10, 1, square, squares)) return 1;
    dc_pool_free(pool);
    for (int n = 0; n < 10; n++) printf("%d ", squares[n]);
    return 0;
}
"""
PYTHON = "import dockercomp_pool\nprint(*dockercomp_pool.Pool().map(lambda n: n * n, range(10)), end=' ')\n"
SQUARES = "0 1 4 9 16 25 36 49 64 81 "


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DC_HOME", str(tmp_path / "dc"))


def answered(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, object]:
    assert cli.run(["include", *argv, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_programs_build_and_run_in_a_fresh_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "fresh" / "job"
    assert answered(capsys, str(folder))["files"] == ["dockercomp.h", "dockercomp_chunk.py", "dockercomp_pool.py"]
    (folder / "squares.c").write_text(C)
    (folder / "squares.py").write_text(PYTHON)
    plain = {"PATH": os.environ["PATH"]}
    subprocess.run(["cc", "-std=c99", "-pthread", "-o", "squares", "squares.c"], cwd=folder, env=plain, check=True)
    for command in (["./squares"], [sys.executable, "squares.py"]):
        done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, check=True)
        assert done.stdout == SQUARES


def test_what_is_the_scientists_own_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(capsys, str(tmp_path), "--c")["files"] == ["dockercomp.h"]
    assert answered(capsys, str(tmp_path), "--python")["files"] == ["dockercomp_chunk.py", "dockercomp_pool.py"]
    assert answered(capsys, str(tmp_path)), "again, it changes nothing"
    header = tmp_path / "dockercomp.h"
    header.write_text("/* mine */\n")
    assert cli.run(["include", str(tmp_path)]) == 2
    assert "another dockercomp.h" in capsys.readouterr().err and header.read_text() == "/* mine */\n"
    assert answered(capsys, str(tmp_path), "--force") and header.read_text() != "/* mine */\n"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    assert cli.run(["include", str(tmp_path / "taken" / "job")]) == 2
    assert "taken" in capsys.readouterr().err


def test_a_ready_made_job_that_brings_its_header_brings_the_present_one() -> None:
    here = Path(__file__).parents[2]
    copies = list((here / "jobs").glob("*/dockercomp.h"))
    assert copies and {copy.read_bytes() for copy in copies} == {(here / "worker/inside/dockercomp.h").read_bytes()}
