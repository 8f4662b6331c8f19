"""Taking in what a worker brings: payloads are stored, chunks moved on, and exactly what is stored is acknowledged."""

import hashlib
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from dockercomp.protocol.messages import INLINE_LIMIT, Ack, Failure, ResultReport
from dockercomp.protocol.orders import JobSpec, VerifySpec, decode_order, makes_bundle, stage_of
from server import comparators, lifecycle
from server.lifecycle import Chunk, Run, Step
from server.store import Store
from server.store.contents import read_all
from server.tallies import Age, Counts, tally_of

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_MESSAGE = 1000
_LONGEST_LOG = 4096
_LONGEST_KEPT = 2048
_LONGEST_RUN_S = 1e9
_UNEXPLAINED = Failure(reason="exit", message="the worker reported a failure without saying why")


@dataclass
class Intake:
    """What a sync's reports come to, before and after they are stored."""

    changes: dict[str, tuple[Chunk, Chunk]] = field(default_factory=dict)
    """Chunks as read and as they shall be, by id."""
    now: float = 0.0
    """The database's time, seconds since 1970."""
    acks: dict[str, tuple[str, Ack]] = field(default_factory=dict)
    """By lease: the chunk that must be stored before the acknowledgement may be given (empty: none), and it."""

    def present(self, chunk: Chunk) -> Chunk:
        """The chunk with this sync's changes so far."""
        return self.changes[chunk.id][1] if chunk.id in self.changes else chunk

    def change(self, before: Chunk, after: Chunk) -> None:
        if after is not before:
            first = self.changes[before.id][0] if before.id in self.changes else before
            self.changes[before.id] = (first, after)


@dataclass(frozen=True)
class Agreement:
    """When two results of a stage agree."""

    spec: VerifySpec
    bundled: bool


Check = Callable[[Chunk, str], bool]
"""Whether the single result of a lease of a chunk is to be checked by another client."""


def _never(_chunk: Chunk, _lease: str) -> bool:
    return False


class Verification:
    """Duties over results. Keeps only what never changes, how a job compares, between calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._agreement = lru_cache(maxsize=1000)(self._read_agreement)
        self._comparing = threading.Lock()  # one comparison at a time: it may unpack two results of 64 MiB

    def store_payloads(
        self, client: str, reports: Sequence[ResultReport], chunks: Mapping[str, Chunk]
    ) -> tuple[dict[str, int], set[str]]:
        """Store the payloads that ride along, where their lease is known and no earlier result brought the same.

        Returns what is durable, as the true size by digest, and the leases of corrupted payloads.
        """
        durable = {r.digest: r.size for chunk in chunks.values() for r in chunk.replicas if r.state == "returned"}
        good: dict[str, bytes] = {}
        corrupted: set[str] = set()
        for report in reports:
            if report.outcome != "done" or report.payload is None:
                continue
            if _chunk_of(client, report.lease, chunks) is None:
                continue
            if _intact(report):
                good[report.digest] = report.payload
            else:
                corrupted.add(report.lease)
        stored = self._store.payloads.put({d: payload for d, payload in good.items() if d not in durable})
        return durable | {digest: len(good[digest]) for digest in stored}, corrupted

    def take_in(
        self,
        client: str,
        reports: Sequence[ResultReport],
        chunks: Mapping[str, Chunk],
        durable: Mapping[str, int],
        intake: Intake,
        check: Check = _never,
    ) -> None:
        """Move the reported chunks on, in memory; `check` says of a lease whether its result is drawn for a check.
        Where a payload could not be stored there is no acknowledgement."""
        for report in reports:
            chunk = _chunk_of(client, report.lease, chunks)
            if chunk is None:
                intake.acks[report.lease] = ("", Ack(lease=report.lease, status="unknown"))
                continue
            if report.payload is not None and report.digest not in durable:
                continue  # not stored: the worker sends it again
            before = intake.present(chunk)
            step = self._step(before, report, durable, intake.now, check)
            intake.change(before, step.chunk)
            intake.acks[report.lease] = (_awaited(chunk, intake), Ack(lease=report.lease, status=step.ack))

    def refuse(self, client: str, leases: set[str], chunks: Mapping[str, Chunk], intake: Intake) -> None:
        """Payloads that are not what their digests say are not stored; their chunks go out again, to anybody."""
        for lease in leases:
            chunk = _chunk_of(client, lease, chunks)
            if chunk is not None:
                before = intake.present(chunk)
                intake.change(before, lifecycle.release(before, lease).chunk)
            reason = "checksum: the payload is not what its digest says"
            awaited = _awaited(chunk, intake) if chunk else ""
            intake.acks[lease] = (awaited, Ack(lease=lease, status="rejected", reason=reason))

    def _step(self, chunk: Chunk, report: ResultReport, durable: Mapping[str, int], now: float, check: Check) -> Step:
        if report.outcome == "returned":
            return lifecycle.release(chunk, report.lease, given_back=True)
        if report.outcome == "failed":
            return lifecycle.fail_replica(chunk, report.lease, _bounded(report.failure or _UNEXPLAINED))
        if not _DIGEST.fullmatch(report.digest):
            return Step(chunk, "rejected")
        size = durable.get(report.digest)
        if size is None and self._store.blobs.has(report.digest):
            size = self._store.blobs.received(report.digest)
        if size is not None and size != report.size:
            # The size decides what of the result is read: one that is not true is no result.
            return Step(lifecycle.release(chunk, report.lease).chunk, "rejected")
        stored = size is not None
        vote = self._vote(chunk, report) if stored else ""
        return lifecycle.accept(
            chunk,
            report.lease,
            report.digest,
            report.size,
            stored=stored,
            vote=vote,
            check=stored and check(chunk, report.lease),
            run=_run_of(report, chunk, now),
        )

    def _vote(self, chunk: Chunk, report: ResultReport) -> str:
        """Which of the results that are voted for this stored one equals. Anything is read only where the job compares
        by more than bytes and there are results, none of them the same bytes."""
        others = lifecycle.representatives(chunk)
        judged = chunk.state == "open" or report.lease in lifecycle.live_leases(chunk)
        if not others or not judged or lifecycle.vote_for(chunk, report.digest) is not None:
            return ""
        agreement = self._agreement(chunk.job, chunk.stage)
        if agreement.spec.compare == "bytes" or report.size > comparators.LARGEST:
            return ""
        with self._comparing:
            mine = self._result(report.digest)
            return next((other for other in others if self._equal(agreement, other, mine)), "")

    def difference(self, chunk: Chunk, first: str, second: str) -> str:
        """Where two stored results of a chunk first differ, by what its job compares; a sentence without a stop."""
        agreement = self._agreement(chunk.job, chunk.stage)
        with self._comparing:
            a, b = self._result(first), self._result(second)
            if a is None or b is None:
                return "they differ, and are too large to say where"
            return comparators.difference(agreement.spec, a, b, bundled=agreement.bundled)

    def results(self, first: str, second: str, most: int) -> tuple[bytes, bytes] | None:
        """Two stored results; None where one is over `most` bytes."""
        with self._comparing:
            a, b = self._result(first, most), self._result(second, most)
        return None if a is None or b is None else (a, b)

    def is_bundled(self, chunk: Chunk) -> bool:
        """Whether a chunk's results are bundles of files."""
        return self._agreement(chunk.job, chunk.stage).bundled

    def _equal(self, agreement: Agreement, other: str, mine: bytes | None) -> bool:
        its = self._result(other)
        if its is None or mine is None:
            return False
        return comparators.equal(agreement.spec, its, mine, bundled=agreement.bundled)

    def _result(self, digest: str, most: int | None = None) -> bytes | None:
        """A result that is stored; None where it is over `most` bytes, without it where it is too large to compare."""
        small = self._store.payloads.get([digest])
        if digest in small:
            return small[digest]
        blob = self._store.blobs.open(digest)
        return read_all(blob) if blob.size <= (comparators.LARGEST if most is None else most) else None

    def _read_agreement(self, job: str, stage: int) -> Agreement:
        document = self._store.jobs.by_id(job)
        if document is None:
            return Agreement(VerifySpec(), bundled=False)
        spec = msgspec.convert(document["spec"], JobSpec)
        return Agreement(spec.verify, makes_bundle(stage_of(decode_order(document["order"]), stage)))

    def count(
        self, changes: Sequence[tuple[Chunk, Chunk]], age: Age, *, now: float = 0.0, excused: Collection[str] = ()
    ) -> dict[str, Counts]:
        """Update the counters of clients from stored changes; returns those of the jobs, for the caller to write.
        `age` says how many seconds ago a replica was leased, `now` is the database's time, `excused` are leases that
        their client gave back."""
        tally = tally_of(changes, age, now=now, excused=excused)
        self._store.clients.count(
            [(client, counts, tally.noted.get(client, {})) for client, counts in tally.clients.items()]
        )
        return tally.jobs


def _bounded(failure: Failure) -> Failure:
    """What is kept of a failure's words, whatever a worker sent."""
    return msgspec.structs.replace(
        failure,
        message=failure.message[:_LONGEST_MESSAGE],
        log_head=failure.log_head[:_LONGEST_LOG],
        log_tail=failure.log_tail[-_LONGEST_LOG:],
    )


def _run_of(report: ResultReport, chunk: Chunk, now: float) -> Run:
    """What is kept of a run, whatever a worker sent: of its words the beginning and the end."""
    log, half = report.log, _LONGEST_KEPT // 2
    return Run(
        wall_s=min(report.wall_s, _LONGEST_RUN_S),
        cpu_s=min(report.cpu_s, _LONGEST_RUN_S),
        log=log if len(log) <= _LONGEST_KEPT else log[:half] + log[-half:],
        cpus_limit=report.cpus_limit,
        memory_limit=report.memory_limit,
        at=now,
        input_digest=_new_input(chunk, report.input_digest),
    )


def _new_input(chunk: Chunk, digest: str) -> str:
    """The input's digest, where it is one and no earlier replica of the chunk gave the same."""
    known = {replica.input_digest for replica in chunk.replicas}
    return digest if digest not in known and _DIGEST.fullmatch(digest) else ""


def _chunk_of(client: str, lease: str, chunks: Mapping[str, Chunk]) -> Chunk | None:
    return chunks.get(lifecycle.chunk_of_lease(lease)) if lease.startswith(f"{client}.") else None


def _awaited(chunk: Chunk, intake: Intake) -> str:
    """The chunk that must be stored before an acknowledgement about it may be given."""
    return chunk.id if chunk.id in intake.changes else ""


def _intact(report: ResultReport) -> bool:
    payload = report.payload or b""
    return (
        len(payload) <= INLINE_LIMIT
        and len(payload) == report.size
        and hashlib.sha256(payload).hexdigest() == report.digest
    )
