"""bench/run foreground and daemon, small: what the machine's owner feels, and what the worker itself takes."""

from pathlib import Path

import pytest

from tests.integration.bench_parts import measured


def test_the_owners_program_is_timed_beside_each_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = measured("foreground", tmp_path, monkeypatch)
    assert rows["alone", "no load", "wake_p99_ms"] > 0
    for load in ("priority low", "priority high", "default ceiling, priority normal", "no shares"):
        assert rows["dockercomp", load, "burst_ratio"] > 0
        assert rows["dockercomp", load, "wake_p99_ratio"] > 0


def test_the_daemons_own_cpu_and_memory_are_read_of_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = measured("daemon", tmp_path, monkeypatch)
    for chunks in (30, 1):
        variant = f"8 containers, chunks of {chunks} s"
        assert rows["dockercomp", variant, "rss_mib"] > 5
        assert rows["dockercomp", variant, "cpu_percent"] >= 0
