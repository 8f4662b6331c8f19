"""How a job speeds up, on the command line: a table with the law in words, JSON, CSV and a plot."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.cli import run
from dockercomp.protocol.speedup import run_of
from dockercomp.protocol.speedup_view import view_of
from tests.unit.fake_api import TOKEN, FakeMaster, serving

KIND = "8 CPUs, x86_64 GenuineIntel 6 85"


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with serving() as found:
        points = [run_of(width, 10 * (0.1 + 0.9 / width) * n, 11) for width in (1, 2, 8) for n in (0.98, 1, 1.02)]
        found.speedups = [
            view_of("j1", "map", KIND, points, earlier_runs=6),
            view_of("j1", "reduce", KIND, [run_of(2, 1.5, 2)]),
        ]
        yield found


def speedup(master: FakeMaster, *argv: str) -> int:
    return run(["speedup", "j1", "--url", master.url, "--token", TOKEN, *argv])


def test_the_table_gives_times_and_the_law(master: FakeMaster, capsys: pytest.CaptureFixture[str]) -> None:
    assert speedup(master) == 0
    told = capsys.readouterr().out
    assert f"map on {KIND}" in told and f"reduce on {KIND}" in told
    rows = [line.split() for line in told.splitlines() if line[:1].isdigit() and "runs" not in line]
    assert [row[:2] for row in rows] == [["1", "3"], ["2", "3"], ["8", "3"], ["2", "1"]]
    assert rows[2][2:6] == ["2.12", "±", "0.11", "11"] and rows[2][6] == "4.71"
    assert "10 % of the work is serial" in told and "6 of 9 runs are those of earlier jobs" in told
    assert "two widths of one CPU or more are needed" in told


def test_one_stage_alone_as_json(master: FakeMaster, capsys: pytest.CaptureFixture[str]) -> None:
    assert speedup(master, "--stage", "reduce", "--json") == 0
    (view,) = json.loads(capsys.readouterr().out)
    assert view["stage"] == "reduce" and view["points"][0]["width"] == 2


def test_csv_and_plot(master: FakeMaster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert speedup(master, "--csv") == 0
    assert capsys.readouterr().out == "csv of 2\n"
    picture = tmp_path / "map.svg"
    assert speedup(master, "--stage", "map", "--svg", str(picture)) == 0
    assert picture.read_text() == "svg of 1\n" and capsys.readouterr().out.strip() == str(picture)
    assert speedup(master, "--svg", str(tmp_path / "missing" / "map.svg")) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_nothing_measured_is_said(master: FakeMaster, capsys: pytest.CaptureFixture[str]) -> None:
    master.speedups = []
    assert speedup(master) == 2
    assert "same CPUs from begin to end" in capsys.readouterr().err
