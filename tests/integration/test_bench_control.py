"""bench/run control, small: the rows that others read, from a master, a worker and real containers."""

from pathlib import Path

import pytest

from tests.integration.bench_parts import measured


def test_a_click_comes_to_be_verified_and_costs_no_container_and_no_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = measured("control", tmp_path, monkeypatch, "--clients", "3")
    in_force = rows["dockercomp", "3 clients", "cgroup_p95_s"]
    assert 0 < in_force <= rows["dockercomp", "3 clients", "verified_p95_s"]
    assert rows["dockercomp", "3 clients", "cold_p95_s"] > 0
    assert rows["dockercomp", "3 clients", "restarts"] == 0
    assert rows["dockercomp", "3 clients", "lost_chunks"] == 0
    assert rows["docker-update", "by hand", "cgroup_s"] > 0
