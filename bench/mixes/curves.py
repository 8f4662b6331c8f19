"""How programs speed up: published measurements, as tables, and the laws that the product itself fits to them. Pure."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dockercomp.protocol.messages import Point
from dockercomp.protocol.speedup import Curve, fit, run_of
from worker.policies import REACH


class Scaling(Protocol):
    def wall(self, width: float) -> float: ...


@dataclass(frozen=True)
class Table:
    """Wall time at some widths, of that at one. Between them width × time is straight, as by Amdahl's law; beyond
    the widest it is flat."""

    walls: tuple[tuple[float, float], ...]
    """Narrowest first."""

    def wall(self, width: float) -> float:
        """Of any width above 0. Below the narrowest it only waits: half the width takes twice as long."""
        (first, most), (last, least) = self.walls[0], self.walls[-1]
        if width <= first:
            return most * first / width
        if width >= last:
            return least
        after = bisect_right([each for each, _ in self.walls], width)
        (low, from_), (high, to) = self.walls[after - 1], self.walls[after]
        share = (width - low) / (high - low)
        return ((1 - share) * low * from_ + share * high * to) / width

    def fitted(self) -> Curve | None:
        """The law that a worker would find, had it measured just these."""
        return fitted(dict(self.walls))


@dataclass(frozen=True)
class Held:
    """A law that was fitted to runs on a small machine, flat beyond the widths as far as which a worker believes it."""

    law: Curve

    def wall(self, width: float) -> float:
        return self.law.wall(min(width, REACH * self.law.widest))


def fitted(walls: Mapping[float, float], runs: int = 3) -> Curve | None:
    """The product's own fit to so many equal runs at each width; None where they tell too little."""
    points: list[Point] = [run_of(width, wall) for width, wall in walls.items() for _ in range(runs)]
    return fit(points)


BODYTRACK = Table(((1, 1.0), (2, 0.59), (4, 0.39), (8, 0.28), (16, 0.22), (32, 0.20)))
"""Published: alone on its machine; flat near 20 % from 32 threads on."""
FLUIDANIMATE = Table(((1, 1.0), (4, 0.63), (256, 0.93)))
"""Published: of sixteen at once, each with so many threads; best at 4. As one program's curve that is unkind to it."""

PUBLISHED: Mapping[str, Table] = {"bodytrack": BODYTRACK, "fluidanimate": FLUIDANIMATE}
