"""Taking in what a worker brings: payloads are stored, chunks moved on, and exactly what is stored is acknowledged."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from dockercomp.protocol.messages import INLINE_LIMIT, Ack, Failure, ResultReport
from server import lifecycle
from server.lifecycle import Chunk, Step
from server.store import Store

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_MESSAGE = 1000
_LONGEST_LOG = 4096
_UNEXPLAINED = Failure(reason="exit", message="the worker reported a failure without saying why")


@dataclass
class Intake:
    """What a sync's reports come to, before and after they are stored."""

    changes: dict[str, tuple[Chunk, Chunk]] = field(default_factory=dict)
    """Chunks as read and as they shall be, by id."""
    acks: dict[str, tuple[str, Ack]] = field(default_factory=dict)
    """By lease: the chunk that must be stored before the acknowledgement may be given (empty: none), and it."""

    def present(self, chunk: Chunk) -> Chunk:
        """The chunk with this sync's changes so far."""
        return self.changes[chunk.id][1] if chunk.id in self.changes else chunk

    def change(self, before: Chunk, after: Chunk) -> None:
        if after is not before:
            first = self.changes[before.id][0] if before.id in self.changes else before
            self.changes[before.id] = (first, after)


class Verification:
    """Duties over results. Holds no state between calls."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
    ) -> None:
        """Move the reported chunks on, in memory. Where a payload could not be stored there is no acknowledgement."""
        for report in reports:
            chunk = _chunk_of(client, report.lease, chunks)
            if chunk is None:
                intake.acks[report.lease] = ("", Ack(lease=report.lease, status="unknown"))
                continue
            if report.payload is not None and report.digest not in durable:
                continue  # not stored: the worker sends it again
            before = intake.present(chunk)
            step = self._step(before, report, durable)
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

    def _step(self, chunk: Chunk, report: ResultReport, durable: Mapping[str, int]) -> Step:
        if report.outcome == "returned":
            return lifecycle.release(chunk, report.lease)
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
        return lifecycle.accept(chunk, report.lease, report.digest, report.size, stored=size is not None)

    def count(self, changes: Sequence[tuple[Chunk, Chunk]]) -> dict[str, Counter[str]]:
        """Update the counters of clients from stored changes; returns those of the jobs, for the caller to write."""
        jobs: dict[str, Counter[str]] = {}
        clients: dict[str, Counter[str]] = {}
        marks: dict[str, str] = {}
        for before, after in changes:
            job = jobs.setdefault(after.job, Counter())
            _count_replicas(before, after, job, clients)
            if after.state == "accepted" and before.state == "open":
                job[f"accepted_{after.stage}"] += 1
                _judge(after, job, clients, marks)
        self._store.clients.count([(client, dict(n), marks.get(client, "")) for client, n in clients.items()])
        return jobs


def _bounded(failure: Failure) -> Failure:
    """What is kept of a failure's words, whatever a worker sent."""
    return msgspec.structs.replace(
        failure,
        message=failure.message[:_LONGEST_MESSAGE],
        log_head=failure.log_head[:_LONGEST_LOG],
        log_tail=failure.log_tail[-_LONGEST_LOG:],
    )


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


def _count_replicas(before: Chunk, after: Chunk, job: Counter[str], clients: dict[str, Counter[str]]) -> None:
    earlier = {replica.lease: replica.state for replica in before.replicas}
    for replica in after.replicas:
        if earlier.get(replica.lease) == replica.state:
            continue
        if replica.state == "returned":
            job["returned"] += 1
        elif replica.state == "failed":
            job["failed"] += 1
            clients.setdefault(replica.client, Counter())["failed"] += 1


def _judge(chunk: Chunk, job: Counter[str], clients: dict[str, Counter[str]], marks: dict[str, str]) -> None:
    """Only a formed quorum judges: those it outvoted are marked."""
    for replica in chunk.replicas:
        if replica.state != "returned" or chunk.quorum < 2:
            continue
        clients.setdefault(replica.client, Counter())["wrong" if replica.wrong else "valid"] += 1
        if replica.wrong:
            job["wrong"] += 1
            marks[replica.client] = f"its result of chunk {chunk.index} of job {chunk.job} was outvoted by a quorum"
