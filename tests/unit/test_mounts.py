"""What of ours containers find mounted: copies that are whole, whatever happened to earlier ones."""

from pathlib import Path

import pytest

from worker.mounts import HELPERS, LIBRARY, programs_of_ours


def test_a_copy_that_is_not_whole_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = tmp_path / "built"
    runner.write_bytes(b"runner")
    monkeypatch.setattr("worker.mounts.runner.find", lambda _: runner)
    binds = programs_of_ours(tmp_path, "linux/amd64")
    assert {f"{LIBRARY}/{name}" for name in HELPERS} < set(binds.values())
    whole = {path: path.read_bytes() for path in binds}
    for path in binds:
        path.write_bytes(b"")  # as a power failure leaves it
    assert programs_of_ours(tmp_path, "linux/amd64") == binds
    assert {path: path.read_bytes() for path in binds} == whole
    assert all(path.stat().st_mode & 0o777 == 0o755 for path in binds)
