"""A random mix of programs: who comes when, and how large. The same from the same seed, on any machine. Pure.

Arrivals are a Poisson process: the gaps between them are exponential. Sizes are lognormal, as the run times of batch
jobs are found to be in the middle of their distribution (D. G. Feitelson, "Workload Modeling for Computer Systems
Performance Evaluation", 2015). Programs are drawn with equal chances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from random import Random

MEAN_GAP_S = 0.5
"""Between two arrivals. Shorter than a program runs, so that the gate decides how many are in flight."""
SPREAD = 0.5
"""Standard deviation of a size's logarithm: one in twenty is more than 2.7 times as large as the median."""


@dataclass(frozen=True)
class Item:
    """One program of a mix. `size` is the seconds that it takes alone with one CPU."""

    number: int
    program: str
    arrives_s: float
    size: float


def mix(
    seed: int,
    count: int,
    programs: Sequence[str],
    *,
    median: float = 1.0,
    mean_gap_s: float = MEAN_GAP_S,
    spread: float = SPREAD,
) -> list[Item]:
    """So many programs in the order of their arrival, the first at 0. `median` is that of the sizes, in seconds."""
    draw, now, items = Random(seed), 0.0, []
    for number in range(count):
        program = programs[draw.randrange(len(programs))]
        size = draw.lognormvariate(log(median), spread)
        items.append(Item(number, program, now, size))
        now += draw.expovariate(1 / mean_gap_s)
    return items
