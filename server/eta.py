"""When a job will be done, as a range: pure arithmetic, no I/O.

From the recent past: chunks accepted in the last samples give the rate, the number of containers then and now scales
it, and its uncertainty is that of a count, z / sqrt(n) (Poisson; z = 1.3, so that four of five jobs end in the range).
Before enough chunks are accepted, the mean time of a run and the present containers have to do. At its upper end the
range has room for one more slow chunk: mean + 2 standard deviations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_SAMPLES = 20
SHORTEST_S, LONGEST_S = 2.0, 30.0
"""Shortest and longest time between two samples; between them a sixtieth of the job's time so far, so that the samples
cover its last third."""
_ENOUGH = 3
_Z = 1.3
_MOST_UNSURE = 0.6


@dataclass(frozen=True)
class Sample:
    """`accepted` chunks of the stages up to `stage`, and the containers that could work on them, at a time in s."""

    at: float
    stage: int
    accepted: int
    containers: int


@dataclass(frozen=True)
class Runs:
    """The runs of a job so far that gave a result: their number, seconds and squared seconds."""

    count: int = 0
    seconds: float = 0.0
    squared: float = 0.0

    @property
    def mean(self) -> float:
        return self.seconds / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        return math.sqrt(max(0.0, self.squared / self.count - self.mean**2)) if self.count else 0.0


def due(samples: Sequence[Sample], now: float, created: float) -> bool:
    """Whether it is time for the next sample."""
    if not samples:
        return True
    return now - samples[-1].at >= min(LONGEST_S, max(SHORTEST_S, (now - created) / 60))


def with_next(samples: Sequence[Sample], new: Sample) -> list[Sample]:
    """The samples with a new one; what was before another stage began says nothing of this one."""
    same = [sample for sample in samples if sample.stage == new.stage and sample.at < new.at]
    return [*same, new][-MOST_SAMPLES:]


def remaining(
    samples: Sequence[Sample], left: int, containers: int, runs: Runs, quorum: int
) -> tuple[float, float] | None:
    """Seconds from the last sample until `left` chunks are accepted, at least and at most; None where nothing can be
    said. `containers` are those that can work on the job now."""
    if left <= 0 or containers <= 0 or not samples:
        return None
    done = samples[-1].accepted - samples[0].accepted
    if done >= _ENOUGH:
        rate, unsure = _recent_rate(samples, containers), min(_MOST_UNSURE, _Z / math.sqrt(done))
    elif samples[-1].stage == 0 and runs.count >= _ENOUGH and runs.mean > 0:
        rate, unsure = containers / (quorum * runs.mean), _MOST_UNSURE
    else:
        return None
    if rate <= 0:
        return None
    slow_chunk = runs.mean + 2 * runs.deviation if samples[-1].stage == 0 else 0.0
    return left / (rate * (1 + unsure)), left / (rate * (1 - unsure)) + slow_chunk


def _recent_rate(samples: Sequence[Sample], containers: int) -> float:
    """Chunks a second, as if the containers of now had worked all the time."""
    first, last = samples[0], samples[-1]
    lent = sum(b.containers * (b.at - a.at) for a, b in pairwise(samples))
    if lent <= 0:
        return (last.accepted - first.accepted) / (last.at - first.at)
    return (last.accepted - first.accepted) / lent * containers
