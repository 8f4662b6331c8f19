"""Checkpoints on the volunteer's disk: whole or not at all, bounded, and forgotten when they are of no more use."""

import os
import time
from pathlib import Path

import pytest

from dockercomp.protocol.messages import Lease, SignedOrder
from worker import checkpoints
from worker.checkpoints import Checkpoints

ORDER = SignedOrder(job="j1", body=b"{}", key="k", signature=b"s")


def lease(index: int = 0, job: str = "j1", id: str = "l") -> Lease:
    return Lease(id=id, job=job, stage=0, index=index, deadline_s=600, input=b"in")


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    (tmp_path / "worker").mkdir()
    return Checkpoints(tmp_path)


def save(kept: Checkpoints, data: bytes, index: int = 0, job: str = "j1") -> int | None:
    saving = kept.saving(job, 0, index)
    for start in range(0, len(data), 3):
        assert saving.add(data[start : start + 3]) is None
    return saving.add(b"")


def read(kept: Checkpoints, index: int = 0, job: str = "j1") -> bytes | None:
    path = kept.saved(job, 0, index)
    return path and path.read_bytes()


def test_the_last_whole_one_counts(kept: Checkpoints, tmp_path: Path) -> None:
    assert read(kept) is None
    assert save(kept, b"first") == 5 and read(kept) == b"first"
    assert save(kept, b"second") == 6 and read(kept) == b"second"
    half = kept.saving("j1", 0, 0)
    half.add(b"ha")
    half.close()
    assert read(kept) == b"second" and read(kept, 1) is None
    assert len(list((tmp_path / "worker/checkpoints").iterdir())) == 1
    kept.drop("j1", 0, 0)
    assert read(kept) is None


def test_what_is_too_large_or_too_much_is_left_out(kept: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "LARGEST", 10)
    assert save(kept, b"small") == 5
    assert save(kept, b"x" * 11) is None and read(kept) == b"small"
    monkeypatch.setattr(checkpoints, "MOST_TOGETHER", 12)
    assert save(kept, b"too much", 1) is None and read(kept, 1) is None


def test_a_restarted_worker_finds_the_leases_that_may_still_be_its_own(kept: Checkpoints, tmp_path: Path) -> None:
    for index in range(3):
        save(kept, b"state", index)
    kept.claim(lease(0), ORDER, 60)
    kept.claim(lease(0), ORDER, 60)
    kept.claim(lease(1, id="over"), ORDER, -1)
    (tmp_path / "worker/checkpoints/j1.0.2.lease").write_bytes(b"torn")
    (claim,) = Checkpoints(tmp_path).claims()
    assert (claim.lease, claim.order) == (lease(0), ORDER) and 50 < claim.until - time.time() <= 60
    kept.claim(lease(0, id="again"), ORDER, 60)
    assert [claim.lease.id for claim in kept.claims()] == ["again"]
    kept.disown({"again"})
    assert list(kept.claims()) == [] and read(kept, 0) is None and read(kept, 1) == b"state"


def test_jobs_that_ended_and_old_days_are_forgotten(kept: Checkpoints, tmp_path: Path) -> None:
    for job in ("j1", "j1.0", "j2"):
        save(kept, b"state", job=job)
        kept.claim(lease(job=job), ORDER, 60)
    kept.drop_jobs(["j1"])
    assert (read(kept), read(kept, job="j1.0"), read(kept, job="j2")) == (None, b"state", b"state")
    for path in (tmp_path / "worker/checkpoints").glob("j2*"):
        os.utime(path, (0, 0))
    assert [claim.lease.job for claim in kept.claims()] == ["j1.0"] and read(kept, job="j2") is None
