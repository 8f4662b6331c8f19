"""bench/run against a peer, small: the same bytes from both, rows as others read them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main


def test_word_count_gives_what_a_pool_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DC_HOME", str(tmp_path / "h"))
    output = tmp_path / "job.json"
    arguments = ["job", "--peers", "pool", "--runs", "1", "--size", "200000", "--json", str(output)]
    said = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert said.exit_code == 0
    rows = json.loads(output.read_text())["rows"]
    assert [(row["system"], row["variant"], row["metric"], row["unit"]) for row in rows] == [
        ("dockercomp", "verification off", "wall_s", "s"),
        ("dockercomp", "quorum 2", "wall_s", "s"),
        ("pool", "no verification", "wall_s", "s"),
    ]
    assert all(0 < row["min"] <= row["median"] <= row["max"] for row in rows)
