"""Taking in what a worker brings: payloads are stored, chunks moved on, and exactly what is stored is acknowledged."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dockercomp.protocol.messages import INLINE_LIMIT, Ack, Failure, ResultReport
from server import lifecycle
from server.lifecycle import Chunk, Step
from server.store import Store

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

    def store_payloads(self, reports: Sequence[ResultReport], chunks: Iterable[Chunk]) -> tuple[set[str], set[str]]:
        """Store the payloads that ride along, but those that an earlier result of `chunks` brought; returns the
        durable digests, and the leases of corrupted ones."""
        durable = {replica.digest for chunk in chunks for replica in chunk.replicas if replica.state == "returned"}
        good: dict[str, bytes] = {}
        corrupted: set[str] = set()
        for report in reports:
            if report.outcome == "done" and report.payload is not None:
                if _intact(report):
                    good[report.digest] = report.payload
                else:
                    corrupted.add(report.lease)
        new = {digest: payload for digest, payload in good.items() if digest not in durable}
        return durable | self._store.payloads.put(new), corrupted

    def take_in(
        self,
        client: str,
        reports: Sequence[ResultReport],
        chunks: Mapping[str, Chunk],
        durable: set[str],
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

    def _step(self, chunk: Chunk, report: ResultReport, durable: set[str]) -> Step:
        if report.outcome == "returned":
            return lifecycle.release(chunk, report.lease)
        if report.outcome == "failed":
            return lifecycle.fail_replica(chunk, report.lease, report.failure or _UNEXPLAINED)
        if len(report.digest) != 64 or report.size < 0:
            return Step(chunk, "rejected")
        stored = report.digest in durable or self._store.blobs.has(report.digest)
        return lifecycle.accept(chunk, report.lease, report.digest, report.size, stored=stored)

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
