"""How many chunks to want and when to call the master: pure rules.

A worker holds about HORIZON seconds of work beyond what runs, so that short chunks come by the hundred and long ones
are not hoarded; results are brought together while there is work left, and at once when there is none. Times are in
seconds.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dockercomp.protocol.messages import SYNC_LIMIT

INTERVAL = 0.5
"""Pause between syncs while chunks are short and work is at hand."""
HORIZON = 2 * INTERVAL
"""Seconds of waiting work to hold for each container."""
LINGER = 0.05
"""How long a result waits for others when the containers are about to run dry."""
SHORTEST = 0.1
"""Between the starts of two syncs, whatever happens."""
LONG_CHUNK = 60.0
"""Chunks of at least this many seconds are asked for one at a time: a fetch is nothing beside them."""
INPUT_BUDGET = 64 * 2**20
"""Bytes of input to hold for chunks that wait."""
_WEIGHT = 0.2


class ChunkTimes:
    """What a chunk of each job takes here, in seconds, as learned from those that ran."""

    def __init__(self) -> None:
        self._mean: dict[str, float] = {}

    def note(self, job: str, seconds: float) -> None:
        known = self._mean.get(job)
        self._mean[job] = seconds if known is None else known + _WEIGHT * (seconds - known)

    def forget(self, job: str) -> None:
        self._mean.pop(job, None)

    def expect(self, jobs: Iterable[str]) -> float | None:
        """Seconds a chunk of these jobs; the longest counts, and None where one of them is not known yet."""
        means = [self._mean.get(job) for job in jobs]
        return max((mean for mean in means if mean is not None), default=None) if None not in means else None


@dataclass(frozen=True)
class Load:
    """What is at hand at one moment. `slots` counts the containers that may run now."""

    slots: int
    waiting: int
    """Chunks held that do not run yet."""
    running: int
    chunk_s: float | None
    input_bytes: float = 0.0
    """Mean size of an input."""
    most: int = SYNC_LIMIT
    """Chunks that may yet be asked for, as of a stint that ends."""

    @property
    def low(self) -> bool:
        """The containers run dry before another sync after the next could bring more."""
        if self.chunk_s is None:
            return self.waiting < self.slots
        return self.waiting * self.chunk_s < INTERVAL * self.slots


def want(load: Load) -> int:
    """How many more chunks to ask for, 0 … SYNC_LIMIT."""
    if load.chunk_s is None:
        ahead = 1
    elif load.chunk_s >= LONG_CHUNK:
        ahead = 0
    else:
        ahead = math.ceil(HORIZON / max(load.chunk_s, 1e-4))
    queue = min(load.slots * ahead, max(load.slots, int(INPUT_BUDGET / max(load.input_bytes, 1.0))))
    idle = max(0, load.slots - load.running)
    return max(0, min(SYNC_LIMIT, load.most, idle + queue - load.waiting)) if load.slots else 0


@dataclass(frozen=True)
class Post:
    """Results that wait for the next sync. `oldest` is when the first of them was ready."""

    results: int = 0
    oldest: float = 0.0


def next_call(last: float, longest: float, load: Load, post: Post, *, dry: bool, urgent: float | None) -> float:
    """When to start the next sync, on the clock of `last` (the start of the last one).

    `longest` is the pause that the master named; `dry` says that its last answer had fewer chunks than asked for;
    `urgent` is since when something else is worth telling (a limit applied, a pause).
    """
    due = last + longest
    if post.results >= SYNC_LIMIT // 2:
        due = last
    elif post.results:
        due = min(due, post.oldest + (LINGER if load.low else INTERVAL))
    elif not dry and load.low and want(load):
        due = last
    if urgent is not None:
        due = min(due, urgent + LINGER)
    return max(due, last + SHORTEST)
