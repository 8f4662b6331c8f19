"""The measurement of allocation changes, small: every figure is there."""

import pytest

from bench import change


def test_each_program_tells_its_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "CHANGES", 2)
    rows = {(row.variant, row.metric): row for row in change.rows(1)}
    assert set(rows) == {
        ("cgroup", "applied_ms"),
        ("worker", "cpu_ms"),
        *((name, metric) for name in change.COMMANDS for metric in ("width_ms", "look_us")),
    }
    assert all(row.min > 0 for row in rows.values())
    assert rows["cgroup", "applied_ms"].runs == 4 and rows["C threads", "width_ms"].runs == 2
