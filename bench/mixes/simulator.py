"""A machine in fluid flow: programs in flight progress at the speed of their width until one begins or ends. Pure.

Equal and by curve: a program runs at the speed of the CPUs that it has, which worker/policies.py divides. The planner
knows the law that was fitted, the machine the table that was measured.

Overcommit: every program starts as many threads as the machine has, and the kernel gives each program its share of the
time. What is more than that share of work is the cost of having more threads than the machine: switching, lost caches,
threads that wait for one that does not run. It is taken from the published fluidanimate points alone (sixteen at once:
63 % of the time of one thread with 4 threads each, 93 % with 256), as a power of how often the machine is
overcommitted, since two points fix no more than one number:

    cost(r) = r ** a   for r = threads / machine's threads > 1, else 1;   a = log(93 / 63) / log(r of 256 / r of 4)

bodytrack adds that one program alone costs nothing: it stays flat beyond 32 threads. On which machine the fluidanimate
points were measured is not known to us: `measured_on` is the one assumption left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal

from bench.mixes.curves import FLUIDANIMATE, Scaling
from bench.mixes.generator import Item
from dockercomp.protocol.speedup import Curve
from worker.policies import Computing, Question, divided, telling

Policy = Literal["overcommit", "equal", "curve"]

MACHINES = (8, 36, 80, 272)
"""Threads."""
IN_FLIGHT = (2, 4, 8, 16)
PUBLISHED_GAIN = {2: 0.15, 4: 0.23, 8: 0.29, 16: 0.45}
"""Of an equal split over overcommit, programs of threads."""
_COPIES, _BEST, _MOST = 16, 4, 256
"""Of the fluidanimate points: programs at once, and the threads of each."""


@dataclass(frozen=True)
class Overcommit:
    """What more threads than the machine has cost. `measured_on`: threads of the machine of the fluidanimate points."""

    measured_on: int = 80
    gives_way: bool = False
    """Whether a program's idle threads leave their share to others at once, so that CPUs are never idle while another
    could use them. Programs of threads with barriers and locks do not."""

    @property
    def exponent(self) -> float:
        best, most = (max(1.0, _COPIES * each / self.measured_on) for each in (_BEST, _MOST))
        return log(FLUIDANIMATE.wall(_MOST) / FLUIDANIMATE.wall(_BEST)) / log(most / best)

    def cost(self, ratio: float) -> float:
        """How many times as long the same work takes with `ratio` threads for each that the machine has."""
        return float(max(1.0, ratio) ** self.exponent)


@dataclass(frozen=True)
class Timing:
    """When one program of a mix ran. Seconds since the mix began."""

    item: Item
    begun_s: float
    ended_s: float
    fair: float = 1.0
    """Its mean speed, of what it would have been at its equal share of the same moments: 0.9 is a tenth slower."""

    @property
    def wall_s(self) -> float:
        return self.ended_s - self.begun_s


@dataclass
class _Flight:
    item: Item
    begun: float
    left: float
    speed: float = 0.0
    equal: float = 0.0
    """The speed that it would have at its equal share."""
    equally: float = 0.0
    """The work that it would have done at that speed."""


@dataclass(frozen=True)
class Machine:
    """`true` says how programs speed up, `known` what the planner was told of it (all of it, where it is left out)."""

    threads: int
    true: Mapping[str, Scaling]
    known: Mapping[str, Curve | None]
    overcommit: Overcommit = Overcommit()

    def run(self, items: Sequence[Item], in_flight: int, policy: Policy) -> list[Timing]:
        """Run a mix, in the order of arrival, with at most so many in flight."""
        waiting, flying, done, now = list(items), list[_Flight](), list[Timing](), 0.0
        while waiting or flying:
            while waiting and len(flying) < in_flight and waiting[0].arrives_s <= now:
                item = waiting.pop(0)
                flying.append(_Flight(item, now, item.size))
            self._set_speeds(flying, policy)
            ends = min((now + flight.left / flight.speed for flight in flying), default=inf)
            comes = waiting[0].arrives_s if waiting and len(flying) < in_flight else inf
            step, now = min(ends, comes) - now, min(ends, comes)
            for flight in flying:
                flight.left -= step * flight.speed
                flight.equally += step * flight.equal
            over = [flight for flight in flying if flight.left <= 1e-9 * flight.item.size]
            done += [Timing(flight.item, flight.begun, now, flight.item.size / flight.equally) for flight in over]
            flying = [flight for flight in flying if flight not in over]
        return done

    def _set_speeds(self, flying: Sequence[_Flight], policy: Policy) -> None:
        if not flying:
            return
        equal = self._speeds(flying, "equal")
        speeds = equal if policy == "equal" else self._speeds(flying, policy)
        for flight, speed, fair in zip(flying, speeds, equal, strict=True):
            flight.speed, flight.equal = speed, fair

    def _speeds(self, flying: Sequence[_Flight], policy: Policy) -> list[float]:
        scalings = [self.true[flight.item.program] for flight in flying]
        if policy == "overcommit":
            cost = self.overcommit.cost(len(flying))
            return [1 / wall / cost for wall in self._shared(scalings)]
        slots = [flight.item.number for flight in flying]
        asked = Question(
            policy=policy,
            law=self.threads,
            budget=self.threads,
            each=self.threads / len(flying),
            resting=frozenset(),
            programs=tuple(
                Computing(flight.item.number, flight.item.program, 0, least=0.0, most=self.threads) for flight in flying
            ),
        )
        widths = divided(asked, {(name, 0): telling(curve) for name, curve in self.known.items()})
        return [1 / scaling.wall(widths[slot]) for scaling, slot in zip(scalings, slots, strict=True)]

    def _shared(self, scalings: Sequence[Scaling]) -> list[float]:
        """Seconds of a unit of work when all have the whole machine at once, but for the cost of that."""
        if not self.overcommit.gives_way:
            return [scaling.wall(self.threads / len(scalings)) for scaling in scalings]
        alone = [scaling.wall(self.threads) for scaling in scalings]
        busy = sum(scaling.wall(1) / wall for scaling, wall in zip(scalings, alone, strict=True))
        return [wall * max(1.0, busy / self.threads) for wall in alone]


def gain(slow: Sequence[Timing], fast: Sequence[Timing]) -> float:
    """How much longer programs took on average in `slow` than the same ones in `fast`: 0.15 is 15 % more."""
    walls = {timing.item.number: timing.wall_s for timing in fast}
    ratios = [timing.wall_s / walls[timing.item.number] for timing in slow]
    return sum(ratios) / len(ratios) - 1


def makespan(timings: Sequence[Timing]) -> float:
    """Seconds from the first begin to the last end."""
    return max(timing.ended_s for timing in timings) - min(timing.begun_s for timing in timings)
