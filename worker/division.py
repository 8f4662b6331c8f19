"""What each container on this machine gets of its CPU, as containers begin and end to compute. Widths in CPUs.

The budget is what the admin allocated (containers × CPUs), and never more than the volunteer's ceiling and the machine.
How it is divided is the allocation's policy; what a division is, is worker/cpu_plan.py's.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dockercomp.protocol.messages import Allocation, Ceiling, JobPoints, Priority
from dockercomp.protocol.speedup import Curve, fit

from .cpu_plan import LEAST, Program, divide

WEIGHTS: Mapping[Priority, int] = {"low": 256, "normal": 1024, "high": 4096}
"""Of a container against the others on the machine, on the scale of cgroup v1's cpu.shares."""
LINGER_S = 1.0
"""A container that ended a chunk so short ago counts as one that computes: the next chunk follows mostly."""


@dataclass(frozen=True)
class Computing:
    """A container that starts, sets up or runs a chunk now."""

    slot: int
    job: str
    stage: int
    least: float
    """ResourcesSpec.least_cpus"""
    most: float
    """ResourcesSpec.cpus"""
    priority: int = 0
    """JobOrder.priority"""
    sweep: bool = False
    chunk: str = ""
    """Its lease, which tells a chunk from the next one in the same slot; a sweep needs it."""


@dataclass(frozen=True)
class Share:
    """What a container gets now."""

    cpus: float
    """Its quota."""
    cpuset: str = ""
    """The CPUs that it may use, as Linux lists them: `0-3,8`. Empty: any."""
    weight: int = WEIGHTS["normal"]
    """See Size.weight."""
    width: float = 1.0
    """The number of CPUs that its program should use, whole and at least 1: what the program is told."""
    had: float = 0.0
    """The width under which its time is recorded (Outcome.width) if the share stays as it is until the chunk's end;
    0 where the time tells nothing, as other containers may use the same CPUs."""


class Division:
    """`shares` is for one thread alone; `learned` may be called by any."""

    def __init__(self, machine: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._machine, self._clock = machine, clock
        self._curves: dict[tuple[str, int], Curve | None] = {}
        self._last: dict[int, tuple[Computing, float]] = {}

    def learned(self, points: Iterable[JobPoints]) -> None:
        """What the pool knows of how jobs speed up."""
        found = {(known.job, known.stage): fit(known.points) for known in points}
        if found:
            self._curves = {**self._curves, **found}

    def shares(
        self, allowed: Allocation, ceiling: Ceiling, idle: Sequence[int], computing: Sequence[Computing]
    ) -> Mapping[int, Share]:
        """A share for each slot named; `idle` are containers that run no chunk. Call it before a chunk begins, after it
        ended or its container went, when the allocation or the ceiling changed, and about once a second."""
        now = self._clock()
        programs, resting = self._lingering(now, idle, computing)
        law = min(ceiling.cpus, self._machine)
        budget = min(allowed.containers * allowed.cpus, law)
        weight = WEIGHTS[allowed.priority]
        plan = dict.fromkeys(resting, LEAST)
        left = max(LEAST, budget - LEAST * len(resting))
        if allowed.policy == "fixed":
            each = min(allowed.cpus, law / max(1, len(programs) + len(resting)))
            plan = dict.fromkeys([*resting, *(program.slot for program in programs)], each)
        elif programs:
            wanting = [Program(str(p.slot), least=p.least, most=max(p.least, p.most)) for p in programs]
            plan |= {int(name): cpus for name, cpus in divide("equal", left, wanting).items()}
        most = {program.slot: program.most for program in programs}
        return {
            slot: Share(
                cpus=_floored(cpus),
                weight=weight,
                width=(width := max(1, min(round(cpus), math.ceil(most.get(slot, math.inf))) if cpus >= 1 else 1)),
                had=min(cpus, width),
            )
            for slot, cpus in plan.items()
        }

    def _lingering(
        self, now: float, idle: Sequence[int], computing: Sequence[Computing]
    ) -> tuple[list[Computing], list[int]]:
        found = {program.slot: (program, now) for program in computing}
        for slot in idle:
            last = self._last.get(slot)
            if last and now - last[1] < LINGER_S:
                found[slot] = last
        self._last = found
        return [program for program, _ in found.values()], [slot for slot in idle if slot not in found]


def _floored(cpus: float) -> float:
    return max(LEAST, math.floor(cpus * 1000 + 1e-6) / 1000)
