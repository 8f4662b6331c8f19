"""What this worker holds: leases on their way to a container, and results on their way to the master.

One lock over everything; `changed` is notified at every change. Neither files nor network are touched here, except that
the file of an input or result that is no longer needed is deleted.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from dockercomp.protocol.messages import INLINE_LIMIT, LONGEST_SENTENCE, SYNC_LIMIT, Ack, Failure, Lease, ResultReport

from .pace import INTERVAL, Post
from .tasks import Outcome, Task

PATIENCE = 5.0
"""Seconds that a chunk of another job may wait longer than those of the job that a container is warm for."""
POST_BYTES = 8 * 2**20
"""Most payload bytes in one sync."""


@dataclass
class Held:
    """A lease from its answer until its result is reported. `ends` and `since` are on the monotonic clock."""

    lease: Lease
    since: float
    ends: float
    state: Literal["fetching", "ready", "running"] = "fetching"
    task: Task | None = None
    cancelled: bool = False


@dataclass
class Parcel:
    """A result until it is acknowledged. While `uploading` it is not reported again."""

    report: ResultReport
    payload: bytes | Path
    since: float
    uploading: bool = False


class Leases:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed = threading.Condition()
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._parcels: dict[str, Parcel] = {}
        self.done = 0
        """Chunks that were computed here, well or not."""

    # --- in ---

    def add(self, lease: Lease) -> bool:
        """Take a new lease; False if it is held already."""
        with self.changed:
            if lease.id in self._held or lease.id in self._parcels:
                return False
            now = self._clock()
            self._held[lease.id] = Held(lease, now, now + lease.deadline_s)
            return True

    def ready(self, task: Task) -> bool:
        """The input is here; False if the lease is not wanted any more (the caller deletes the input)."""
        with self.changed:
            held = self._held.get(task.lease)
            if held is None:
                return False
            held.task, held.state = task, "ready"
            self.changed.notify_all()
            return True

    def take(self, job: str, runnable: Callable[[str], bool]) -> Held | None:
        """The next chunk to run for a container that is warm for `job`; None if there is none now."""
        with self.changed:
            now = self._clock()
            ready = [held for held in self._held.values() if held.state == "ready" and runnable(held.lease.job)]
            if not ready:
                return None
            first = ready[0]
            own = next((held for held in ready if held.lease.job == job), None)
            chosen = own if own and first.since > now - PATIENCE else first
            chosen.state = "running"
            return chosen

    def again(self, held: Held) -> None:
        """Let a chunk that ran be taken once more; it has a checkpoint to go on from."""
        with self.changed:
            held.state = "ready"
            self.changed.notify_all()

    # --- out ---

    def finished(self, lease: str, outcome: Outcome) -> None:
        """Report what running gave; the result is dropped if the lease was cancelled meanwhile."""
        inline = outcome.payload if isinstance(outcome.payload, bytes) and outcome.size <= INLINE_LIMIT else None
        report = ResultReport(
            lease=lease,
            outcome="failed" if outcome.failure else "done",
            digest=outcome.digest,
            size=outcome.size,
            payload=None if outcome.failure else inline,
            failure=_bounded(outcome.failure),
            input_digest=outcome.input_digest,
            cpu_s=outcome.cpu_s,
            wall_s=outcome.wall_s,
            memory_peak=outcome.memory_peak,
            cpus_limit=outcome.cpus_limit,
            memory_limit=outcome.memory_limit,
            width=outcome.width,
            log=outcome.log,
        )
        self._post(report, outcome.payload)

    def failed(self, lease: str, failure: Failure) -> None:
        self._post(ResultReport(lease=lease, outcome="failed", failure=_bounded(failure)), b"")

    def returned(self, lease: str) -> None:
        """Give a lease back unrun."""
        self._post(ResultReport(lease=lease, outcome="returned"), b"")

    def post_unheld(self, lease: str, failure: Failure | None) -> None:
        """Report on a lease that was never taken: failed, or given back where there is no failure."""
        with self.changed:
            now = self._clock()
            outcome: Literal["failed", "returned"] = "failed" if failure else "returned"
            report = ResultReport(lease=lease, outcome=outcome, failure=_bounded(failure))
            self._parcels.setdefault(lease, Parcel(report, b"", now))

    def waiting(self, jobs: Iterable[str] | None = None) -> list[str]:
        """Leases that do not run yet, of `jobs` or of all."""
        with self.changed:
            of = None if jobs is None else set(jobs)
            chosen = [held for held in self._held.values() if held.state != "running"]
            return [held.lease.id for held in chosen if of is None or held.lease.job in of]

    def return_waiting(self, jobs: Iterable[str] | None = None) -> int:
        """Give back every lease that does not run yet, of `jobs` or of all; how many."""
        with self.changed:
            ids = self.waiting(jobs)
            for lease in ids:
                self.returned(lease)
            return len(ids)

    def return_overdue(self) -> list[str]:
        """Give back leases whose time ended before they ran; their ids."""
        with self.changed:
            now = self._clock()
            late = [held.lease.id for held in self._held.values() if held.state != "running" and held.ends < now]
            for lease in late:
                self.returned(lease)
            return late

    def cancel(self, leases: Iterable[str]) -> list[str]:
        """Forget leases that are no longer ours; the ids of those that run, whose containers must be told."""
        with self.changed:
            running = []
            for lease in leases:
                held = self._held.get(lease)
                if held is None:
                    continue
                if held.state == "running":
                    held.cancelled = True
                    running.append(lease)
                else:
                    del self._held[lease]
                    _discard(held.task.input if held.task else b"")
            self.changed.notify_all()
            return running

    def leases_of(self, jobs: Iterable[str]) -> list[str]:
        with self.changed:
            chosen = set(jobs)
            return [held.lease.id for held in self._held.values() if held.lease.job in chosen]

    def _post(self, report: ResultReport, payload: bytes | Path) -> None:
        with self.changed:
            held = self._held.pop(report.lease, None)
            if held and held.task:
                _discard(held.task.input)
            if held is None or held.cancelled:
                _discard(payload)
            else:
                self._parcels[report.lease] = Parcel(report, payload, self._clock())
                self.done += report.outcome != "returned"
            self.changed.notify_all()

    # --- the sync ---

    def parcels(self) -> list[ResultReport]:
        """Reports for the next sync: oldest first, at most SYNC_LIMIT and POST_BYTES of payload."""
        with self.changed:
            chosen: list[ResultReport] = []
            room = POST_BYTES
            for parcel in self._parcels.values():
                room -= len(parcel.report.payload or b"")
                if len(chosen) == SYNC_LIMIT or (chosen and room < 0):
                    break
                if not parcel.uploading:
                    chosen.append(parcel.report)
            return chosen

    def acknowledge(self, sent: Iterable[str], acks: Iterable[Ack]) -> list[tuple[ResultReport, bytes | Path]]:
        """Forget what is settled; the results whose payload the master wants. What was `sent` but not named stays."""
        with self.changed:
            uploads = []
            for ack in acks:
                parcel = self._parcels.get(ack.lease)
                if parcel is None:
                    continue
                if ack.status == "send":
                    parcel.uploading = True
                    uploads.append((parcel.report, parcel.payload))
                else:
                    _discard(self._parcels.pop(ack.lease).payload)
            again = self._clock() + INTERVAL
            for lease in sent:
                if lease in self._parcels:
                    self._parcels[lease].since = again
            return uploads

    def uploaded(self, lease: str) -> None:
        """The payload is with the master (or must be asked for again): report the result once more."""
        with self.changed:
            parcel = self._parcels.get(lease)
            if parcel is not None:
                parcel.uploading, parcel.since = False, self._clock()
                parcel.report = msgspec.structs.replace(parcel.report, payload=None)
            self.changed.notify_all()

    def lost(self, lease: str, why: str) -> None:
        """The payload of a result is gone: report a failure instead."""
        with self.changed:
            self._parcels.pop(lease, None)
            self.post_unheld(lease, Failure(reason="engine", message=why))
            self.changed.notify_all()

    # --- looking ---

    def wake(self) -> None:
        """Let everyone who waits look again."""
        with self.changed:
            self.changed.notify_all()

    def holds(self, lease: str) -> bool:
        with self.changed:
            return lease in self._held

    def ids(self, reported: Set[str] = frozenset()) -> list[str]:
        """Every lease that is not settled, except those `reported` in the same sync: what `held` names."""
        with self.changed:
            held = [held.lease.id for held in self._held.values() if not held.cancelled]
            return held + [lease for lease in self._parcels if lease not in reported]

    def posts(self, lease: str) -> bool:
        """Whether a result waits for its acknowledgement."""
        with self.changed:
            return lease in self._parcels

    def post(self) -> Post:
        with self.changed:
            waiting = [parcel.since for parcel in self._parcels.values() if not parcel.uploading]
            return Post(results=len(waiting), oldest=min(waiting, default=0.0))

    def undelivered(self) -> int:
        """Results that are not settled with the master, those on their way included."""
        with self.changed:
            return len(self._parcels)

    def counts(self) -> tuple[int, int]:
        """Leases that wait, and that run."""
        with self.changed:
            running = sum(held.state == "running" for held in self._held.values())
            return len(self._held) - running, running

    def jobs(self) -> set[str]:
        with self.changed:
            return {held.lease.job for held in self._held.values()}

    def input_bytes(self) -> float:
        """Mean size of an input among the leases held."""
        with self.changed:
            sizes = [held.lease.input_size or len(held.lease.input or b"") for held in self._held.values()]
            return sum(sizes) / len(sizes) if sizes else 0.0


def _discard(payload: bytes | Path) -> None:
    if isinstance(payload, Path):
        with contextlib.suppress(OSError):
            payload.unlink(missing_ok=True)


def _bounded(failure: Failure | None) -> Failure | None:
    """An engine's own words may be long; a message that is too long would stop every sync."""
    return failure and msgspec.structs.replace(failure, message=failure.message[:LONGEST_SENTENCE])
