"""bench/run mix, small: real containers, and the tables and pictures that it leaves."""

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.integration.bench_parts import measured


def test_a_small_mix_runs_in_containers_and_leaves_tables_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = measured("mix", tmp_path, monkeypatch, "--k", "2")
    for policy in ("overcommit", "equal", "curve"):
        assert ("dockercomp", f"K = 2, {policy}", "makespan_s") in rows
    assert {("dockercomp", "triad, width 0.5", "wall_s"), ("dockercomp", "split 1:9", "total_s")} <= rows.keys()
    with (tmp_path / "mix.mix.csv").open() as file:
        timings = list(csv.DictReader(file))
    assert len(timings) == 3 * 4
    assert all(0 <= float(each["begun_s"]) < float(each["ended_s"]) for each in timings)
    for suffix in (".sweep.svg", ".mix.svg", ".simulated.svg"):
        assert ET.fromstring((tmp_path / f"mix{suffix}").read_text()).tag.endswith("svg")
