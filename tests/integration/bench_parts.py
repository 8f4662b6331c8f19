"""What the tests of benchmarks share."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main

Rows = dict[tuple[str, str, str], float]


def measured(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Rows:
    """The rows that `bench/run NAME --quick` writes: medians by system, variant and metric."""
    monkeypatch.setenv("DC_HOME", str(folder / "h"))
    output = folder / f"{name}.json"
    arguments = [name, "--quick", "--runs", "1", "--json", str(output), *options]
    said = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    rows = json.loads(output.read_text())["rows"]
    return {(row["system"], row["variant"], row["metric"]): row["median"] for row in rows}
