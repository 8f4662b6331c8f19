"""The jobs this worker knows: their orders, whether their image and program are here, and which it refuses."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dockercomp.protocol.messages import LONGEST_SENTENCE, RefusedJob, SignedOrder
from dockercomp.protocol.orders import JobOrder

MOST_REFUSED = 200
"""Refusals remembered; the oldest are forgotten, and refused again if such a job comes back."""


@dataclass
class Job:
    """`image_id` and `program` are set once both are here."""

    order: JobOrder
    signed: SignedOrder | None = None
    """The order as it came, which another start of the worker would check anew."""
    image_id: str = ""
    program: Path | None = None

    @property
    def ready(self) -> bool:
        return bool(self.image_id)


class Jobs:
    """Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._refused: dict[str, tuple[str, float]] = {}
        self.fits: Callable[[str], bool] = lambda _: True
        """Whether a chunk of a job would end in time, where the worker's time is bounded."""

    def add(self, order: JobOrder, signed: SignedOrder | None = None) -> None:
        with self._lock:
            self._jobs.setdefault(order.job, Job(order, signed))

    def prepared(self, job: str, image_id: str, program: Path | None) -> None:
        with self._lock:
            if job in self._jobs:
                self._jobs[job].program, self._jobs[job].image_id = program, image_id

    def refuse(self, job: str, reason: str, for_s: float = math.inf) -> None:
        """Run nothing of the job for so many seconds."""
        with self._lock:
            self._jobs.pop(job, None)
            self._refused[job] = (reason, time.monotonic() + for_s)
            while len(self._refused) > MOST_REFUSED:
                del self._refused[next(iter(self._refused))]

    def forgive(self) -> None:
        """Forget all refusals: what a job may use here has changed."""
        with self._lock:
            self._refused.clear()

    def close(self, jobs: Iterable[str]) -> list[str]:
        """Forget jobs that ended; the digests of programs that no other job uses."""
        with self._lock:
            closed = [found for job in jobs if (found := self._jobs.pop(job, None))]
            used = {job.order.program for job in self._jobs.values()}
            return [job.order.program for job in closed if job.order.program and job.order.program not in used]

    def get(self, job: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job)

    def signed(self) -> list[SignedOrder]:
        """The orders of all jobs, as they came."""
        with self._lock:
            return [job.signed for job in self._jobs.values() if job.signed is not None]

    def images(self) -> set[str]:
        """The config digests of the images that jobs known now run in."""
        with self._lock:
            return {job.order.image.config_digest for job in self._jobs.values()}

    def runnable(self, job: str) -> bool:
        found = self.get(job)
        return found is not None and found.ready and self.fits(job)

    def known(self) -> list[str]:
        with self._lock:
            return list(self._jobs)

    def refused(self) -> list[RefusedJob]:
        with self._lock:
            now = time.monotonic()
            self._refused = {job: (why, until) for job, (why, until) in self._refused.items() if now < until}
            return [RefusedJob(job=job, reason=why[:LONGEST_SENTENCE]) for job, (why, _) in self._refused.items()]

    def why_refused(self, job: str) -> str:
        """Empty where the job is not refused."""
        with self._lock:
            return self._refused.get(job, ("", 0.0))[0]
