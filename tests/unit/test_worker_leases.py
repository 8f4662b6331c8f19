"""What is held, what is reported, and what is forgotten only when the master has it."""

import hashlib
from pathlib import Path

import pytest

from dockercomp.protocol.messages import SYNC_LIMIT, Ack, Failure, Lease
from worker.leases import PATIENCE, POST_BYTES, Leases
from worker.tasks import Outcome, Task


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> Leases:
    return Leases(clock)


def add(leases: Leases, name: str, job: str = "j", data: bytes | Path = b"in", deadline: float = 60) -> None:
    assert leases.add(Lease(id=name, job=job, stage=0, index=0, deadline_s=deadline))
    assert leases.ready(Task(lease=name, stage=0, index=0, input=data))


def take(leases: Leases, job: str = "j") -> str:
    held = leases.take(job, lambda _: True)
    return held.lease.id if held else ""


def done(payload: bytes | Path = b"out", size: int = 3) -> Outcome:
    return Outcome(digest=hashlib.sha256(b"out").hexdigest(), size=size, payload=payload)


def test_a_chunk_is_taken_once_and_reported_until_acknowledged(leases: Leases) -> None:
    add(leases, "a")
    assert take(leases) == "a" and take(leases) == ""
    leases.finished("a", done())
    assert [report.lease for report in leases.parcels()] == ["a"]
    assert leases.acknowledge(["a"], []) == []
    assert [report.lease for report in leases.parcels()] == ["a"], "not named in the answer: sent again"
    assert leases.ids() == ["a"] and leases.ids({"a"}) == []
    leases.acknowledge(["a"], [Ack(lease="a", status="stored")])
    assert leases.parcels() == [] and leases.ids() == []


@pytest.mark.parametrize("status", ["stored", "late", "unknown", "rejected"])
def test_a_settled_result_and_its_files_are_forgotten(leases: Leases, tmp_path: Path, status: str) -> None:
    source, result = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"in")
    result.write_bytes(b"out")
    add(leases, "a", data=source)
    take(leases)
    leases.finished("a", done(result))
    assert not source.exists() and result.exists()
    leases.acknowledge(["a"], [Ack(lease="a", status=status)])  # type: ignore[arg-type]
    assert not result.exists()


def test_a_wanted_payload_is_uploaded_then_reported_again(leases: Leases, tmp_path: Path) -> None:
    result = tmp_path / "out"
    result.write_bytes(b"out")
    add(leases, "a")
    take(leases)
    leases.finished("a", done(result, size=10**6))
    ((report, payload),) = leases.acknowledge(["a"], [Ack(lease="a", status="send")])
    assert (report.lease, report.payload, payload) == ("a", None, result)
    assert leases.parcels() == [] and leases.ids() == ["a"], "while it is uploaded it is held, not reported"
    leases.uploaded("a")
    assert [report.lease for report in leases.parcels()] == ["a"]


def test_cancelled_leases_are_forgotten_and_running_ones_named(leases: Leases, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"in")
    add(leases, "runs")
    assert take(leases) == "runs"
    add(leases, "waits", data=source)
    assert leases.cancel(["runs", "waits", "never"]) == ["runs"]
    assert not source.exists() and leases.ids() == []
    leases.finished("runs", done())
    assert leases.parcels() == []


def test_an_input_that_comes_too_late_is_not_wanted(leases: Leases) -> None:
    leases.add(Lease(id="a", job="j", stage=0, index=0, deadline_s=60))
    leases.cancel(["a"])
    assert not leases.ready(Task(lease="a", stage=0, index=0, input=b""))


def test_giving_back_takes_what_waits_and_what_is_overdue(leases: Leases, clock: Clock) -> None:
    for name in "abc":
        add(leases, name, job=name, deadline=600)
    add(leases, "late", job="d", deadline=1)
    assert take(leases, "a") == "a"
    assert leases.return_waiting(["b"]) == 1
    clock.now += 2
    assert leases.return_overdue() == ["late"]
    leases.return_waiting()
    assert {(r.lease, r.outcome) for r in leases.parcels()} == {(name, "returned") for name in ("b", "late", "c")}


def test_a_warm_container_keeps_its_job_but_starves_nobody(leases: Leases, clock: Clock) -> None:
    add(leases, "other", job="other")
    add(leases, "own", job="own")
    assert take(leases, "own") == "own"
    add(leases, "own2", job="own")
    clock.now += PATIENCE + 1
    assert take(leases, "own") == "other"


def test_only_runnable_jobs_are_taken(leases: Leases) -> None:
    add(leases, "a", job="a")
    assert leases.take("", lambda job: job != "a") is None


def test_a_sync_carries_a_bounded_number_and_size_of_results(leases: Leases) -> None:
    for number in range(SYNC_LIMIT + 10):
        add(leases, str(number))
        take(leases)
        leases.finished(str(number), done())
    assert len(leases.parcels()) == SYNC_LIMIT
    big = Leases()
    for number in range(POST_BYTES // 65536 + 10):
        add(big, str(number))
        take(big)
        big.finished(str(number), done(bytes(65536), 65536))
    assert len(big.parcels()) == POST_BYTES // 65536


def test_a_lost_payload_becomes_a_failure(leases: Leases, tmp_path: Path) -> None:
    add(leases, "a")
    take(leases)
    leases.finished("a", done(tmp_path / "gone", size=10**6))
    leases.acknowledge(["a"], [Ack(lease="a", status="send")])
    leases.lost("a", "gone")
    (report,) = leases.parcels()
    assert report.outcome == "failed" and report.failure == Failure(reason="engine", message="gone")
