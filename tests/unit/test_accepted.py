"""Results of a running job, chunk by chunk, and the futures that wait for them; the master is made up."""

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from typing import Any, cast

import pytest

from dockercomp.accepted import Accepted
from dockercomp.dispatch import Running, Waiting
from dockercomp.job import Job, JobFailed
from dockercomp.master import Master
from dockercomp.outcomes import RemoteError
from dockercomp.protocol.errors import ChecksumMismatch, NotFound, Unavailable
from dockercomp.protocol.views import ChunkPage, ChunkView, JobView, StageView
from tests.unit.fake_api import job

PAGE = 500


class MadeUp:
    """A master with one job of `chunks`; `accepted` are those with a result."""

    def __init__(self, chunks: int) -> None:
        self.results = [b'[["value",%d]]\n' % n for n in range(chunks)]
        self.issued: set[int] = set()
        self.accepted: set[int] = set()
        self.state = "running"
        self.waiting = ""
        self.calls: list[str] = []
        self.failures: list[Exception] = []

    def call(self, name: str, answer: type, message: object = None, params: Any = None, **parts: str) -> Any:
        self.calls.append(name)
        if self.failures:
            raise self.failures.pop(0)
        if name == "job_cancel":
            self.state = "cancelled"
        if answer is JobView:
            stage = StageView(
                name="map", chunks=len(self.results), issued=len(self.issued), accepted=len(self.accepted)
            )
            return job(self.state, stages=[stage], error="chunk 3 ran out of memory", waiting=self.waiting)
        first = int(params.get("cursor", -1)) + 1
        found = sorted(index for index in self.issued | self.accepted if index >= first)[:PAGE]
        return ChunkPage(
            chunks=[self.chunk(index) for index in found], next=str(found[-1]) if len(found) == PAGE else None
        )

    def chunk(self, index: int) -> ChunkView:
        if index not in self.accepted:
            return ChunkView(id=f"c{index}", stage="map", index=index, state="open")
        data = self.results[index]
        digest = hashlib.sha256(data).hexdigest()
        return ChunkView(id=f"c{index}", stage="map", index=index, state="accepted", digest=digest, size=len(data))

    def read_parts(self, name: str, *, start: int = 0, chunk: str = "", job: str = "") -> Iterator[bytes]:
        self.calls.append(name)
        data = self.results[int(chunk[1:])] if name == "chunk_result" else b"".join(self.results)[start:]
        yield from (data[at : at + 7] for at in range(0, len(data), 7))

    def accept(self, *indices: int) -> None:
        self.accepted.update(indices)

    @property
    def master(self) -> Master:
        return cast(Master, self)

    @property
    def job(self) -> Job:
        return Job(self.master, "j1")


def looked(accepted: Accepted) -> dict[int, bytes]:
    return dict(accepted.look()[1])


def test_each_result_is_given_once_and_the_rest_comes_with_the_whole() -> None:
    made = MadeUp(1200)
    accepted = Accepted(made.master, made.job)
    assert looked(accepted) == {}
    given: dict[int, bytes] = {}
    order = list(range(1200))
    random.Random(7).shuffle(order)
    made.issued.update(order[:900])
    for index in order[:60]:
        made.accept(index)
        new = looked(accepted)
        assert new == {index: made.results[index]} and not new.keys() & given.keys()
        given |= new
    assert accepted.issued == set(order[:900])
    made.accept(*order)
    made.state = "completed"
    made.calls.clear()
    assert given | looked(accepted) == dict(enumerate(made.results))
    assert made.calls.count("job_result") == 1 and "chunk_result" not in made.calls


def test_what_is_settled_is_not_listed_again() -> None:
    made = MadeUp(1700)
    accepted = Accepted(made.master, made.job)
    made.issued.update(range(1600))
    made.accept(*range(1100))
    looked(accepted)
    made.calls.clear()
    made.accept(1100)
    looked(accepted)
    assert made.calls.count("job_chunks") == 2  # from chunk 1000 on


def test_a_chunk_that_is_inserted_late_is_not_missed() -> None:
    made = MadeUp(1000)
    accepted = Accepted(made.master, made.job)
    made.accept(*(index for index in range(1000) if index != 3))
    while looked(accepted):
        pass
    made.accept(3)
    assert looked(accepted) == {3: made.results[3]}


def test_many_at_once_are_taken_in_portions_while_it_runs() -> None:
    made = MadeUp(450)
    accepted = Accepted(made.master, made.job)
    made.accept(*range(250))
    assert [len(looked(accepted)) for _ in range(4)] == [100, 100, 50, 0]
    made.accept(*range(450))
    made.state = "failed"
    assert sorted(looked(accepted)) == list(range(250, 450))


def test_a_result_of_other_bytes_is_refused() -> None:
    made = MadeUp(3)
    accepted = Accepted(made.master, made.job)
    made.accept(0, 1, 2)
    made.results[1] = b"other"
    chunk = made.chunk(1)
    made.results[1] = b"bytes"
    made.chunk = lambda index: chunk  # type: ignore[method-assign]
    with pytest.raises(ChecksumMismatch, match="chunk c1"):
        looked(accepted)


def test_a_whole_result_that_is_cut_short_is_refused() -> None:
    made = MadeUp(3)
    accepted = Accepted(made.master, made.job)
    made.accept(0, 1, 2)
    made.state = "completed"
    whole = made.read_parts
    made.read_parts = lambda *a, **k: iter(list(whole(*a, **k))[:-1])  # type: ignore[method-assign]
    with pytest.raises(ChecksumMismatch, match="ends before its chunk c2"):
        looked(accepted)


# --- futures ---------------------------------------------------------------------------------------------------------


def running(made: MadeUp, size: int = 1) -> tuple[Running, list[Future[Any]]]:
    futures: list[Future[Any]] = [Future() for _ in made.results]
    return Running(made.master, made.job, [Waiting([each]) for each in futures]), futures


def test_futures_run_when_their_chunk_is_handed_out_and_resolve_when_it_is_accepted() -> None:
    made = MadeUp(3)
    job, futures = running(made)
    made.issued.update({0, 1})
    made.accept(0)
    assert not job.look()
    assert futures[0].result(0) == 0
    assert futures[1].running() and not futures[1].cancel()
    assert futures[2].cancel()
    job.look()
    assert wait([futures[2]], timeout=0).done, "whoever waits is told of a cancelled one"
    made.accept(1)
    made.state = "completed"
    assert job.look() and futures[1].result(0) == 1


def test_why_a_job_waits_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    made = MadeUp(1)
    job, _ = running(made)
    for made.waiting in ("", "no client has so much memory", "no client has so much memory", ""):
        job.look()
    assert [each.getMessage() for each in caplog.records] == ["job j1 waits: no client has so much memory"]


def test_a_job_that_nobody_waits_for_is_stopped() -> None:
    made = MadeUp(3)
    job, futures = running(made)
    made.accept(0)
    job.look()
    for each in futures:
        each.cancel()
    assert job.look() and made.state == "cancelled"


def test_a_job_that_fails_fails_whoever_still_waits() -> None:
    made = MadeUp(3)
    job, futures = running(made)
    made.accept(1)
    made.state = "failed"
    assert job.look()
    assert futures[1].result(0) == 1
    for each in (futures[0], futures[2]):
        with pytest.raises(JobFailed, match="out of memory"):
            each.result(0)


def test_a_master_that_is_away_for_a_while_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = MadeUp(1)
    job, futures = running(made)
    made.failures = [Unavailable("the database elects")] * 2
    assert not job.look() and not job.look() and not futures[0].done()
    monkeypatch.setattr("dockercomp.dispatch.PATIENCE_S", 0.0)
    made.failures = [Unavailable("the database elects")]
    assert job.look()
    with pytest.raises(Unavailable, match="the database elects"):
        futures[0].result(0)


def test_an_error_that_stays_reaches_whoever_waits() -> None:
    made = MadeUp(1)
    job, futures = running(made)
    made.failures = [NotFound("there is no job j1")]
    assert job.look()
    with pytest.raises(NotFound):
        futures[0].result(0)


def test_abandoned_whoever_waits_is_let_go() -> None:
    made = MadeUp(2)
    job, futures = running(made)
    job.abandon()
    assert made.state == "cancelled"
    for each in futures:
        with pytest.raises(CancelledError):
            each.result(0)


def test_futures_of_one_chunk_are_settled_each_for_itself() -> None:
    futures: list[Future[Any]] = [Future() for _ in range(4)]
    waiting = Waiting(futures)
    futures[1].cancel()
    waiting.resolve(b'[["value",1],["value",2],["error","KeyError","\'x\'",""],["value",{"nonsense":1}]]')
    assert futures[0].result(0) == 1 and futures[1].cancelled()
    with pytest.raises(KeyError, match="KeyError: 'x'"):
        futures[2].result(0)
    with pytest.raises(RemoteError, match="Unreadable"):
        futures[3].result(0)
    assert waiting.done
