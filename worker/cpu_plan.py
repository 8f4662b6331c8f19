"""How a machine's CPU is divided among the programs that run on it: pure rules, no I/O. Widths in CPUs.

Three policies. Overcommit: every program may use all of the machine, and the kernel's scheduler divides it. Equal: each
gets the same, but for its least and most, and its weight. Curve: each first gets what keeps it within FAIR of its speed
at its equal share, whatever the weights, then each further step goes to the program whose relative speed gains most by
it. Speeds are concave up to their peak, so taking the steepest step each time gives the largest sum (Gross, "A class of
discrete type minimization problems", 1956). A program without a curve keeps its equal share: nobody loses or gains by a
guess. It gets more only where no curve promises anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heapreplace
from math import floor
from typing import Literal

from dockercomp.protocol.speedup import Curve

Policy = Literal["overcommit", "equal", "curve"]

LEAST = 0.05
"""No program ever gets less."""
FAIR = 0.9
"""By curve no program runs slower than this share of its speed at its equal share."""
STEP = 0.25
"""What is moved at a time."""
WORTHWHILE = 0.05
"""Sum of relative speeds that another division must gain before a running one is changed for it."""


@dataclass(frozen=True)
class Program:
    """A container that computes. `most` is what it can use: its job's `cpus`, or its curve's peak."""

    name: str
    curve: Curve | None = None
    least: float = LEAST
    most: float = float("inf")
    weight: float = 1.0
    """By priority: of two programs that gain alike the heavier one is served first; in an equal division it gets
    that many shares."""

    def speed(self, width: float) -> float:
        """Units of work a second, of any unit."""
        return self.curve.speed(width) if self.curve else width


Plan = Mapping[str, float]


def divide(policy: Policy, cpus: float, programs: Sequence[Program]) -> dict[str, float]:
    """The width of each program, never below LEAST. Their sum is at most `cpus`, but under overcommit, and where LEAST
    or the programs' own least widths come to more. Raises ValueError where there is no CPU to divide."""
    if not cpus > 0:
        raise ValueError(f"{cpus:g} CPUs cannot be divided")
    if policy == "overcommit":
        return {program.name: _within(program, cpus) for program in programs}
    if policy == "equal" or len(programs) < 2:
        return _equal(cpus, programs)
    return _by_curve(cpus, programs, _equal(cpus, [replace(program, weight=1.0) for program in programs]))


def gain(programs: Sequence[Program], old: Plan, new: Plan) -> float:
    """Mean relative speed that the new plan gains over the old one: 0.1 is a tenth faster."""
    if not programs:
        return 0.0
    relative = [p.speed(new[p.name]) / p.speed(old[p.name]) for p in programs]
    return sum(relative) / len(relative) - 1


def settled(programs: Sequence[Program], old: Plan, new: Plan) -> Plan:
    """The new plan, but the old one where the same programs run and too little is gained by moving them about."""
    if old.keys() != {program.name for program in programs}:
        return new
    kept = (
        all(_within(p, old[p.name]) == old[p.name] for p in programs) and sum(old.values()) <= sum(new.values()) + STEP
    )
    return old if kept and gain(programs, old, new) < WORTHWHILE else new


def _within(program: Program, width: float) -> float:
    peak = program.curve.peak if program.curve else float("inf")
    least = max(LEAST, program.least)
    return max(least, min(width, program.most, peak))


def _equal(cpus: float, programs: Sequence[Program]) -> dict[str, float]:
    """Shares by weight; what one cannot use goes to the others, and who needs more than its share gets it first."""
    widths: dict[str, float] = {}
    left, open_ = cpus, list(programs)
    while open_:
        share = max(0.0, left) / sum(program.weight for program in open_)
        bound = {p.name: _within(p, share * p.weight) for p in open_}
        raised = [p for p in open_ if bound[p.name] > share * p.weight]
        lowered = [p for p in open_ if bound[p.name] < share * p.weight]
        fixed = raised or lowered or open_
        for program in fixed:
            widths[program.name] = bound[program.name]
            left -= bound[program.name]
        open_ = [program for program in open_ if program not in fixed]
    return {program.name: widths[program.name] for program in programs}


def _by_curve(cpus: float, programs: Sequence[Program], equal: Plan) -> dict[str, float]:
    """The steepest step is on top of a heap, so that a division takes steps × log programs."""
    widths = {program.name: _fair(program, equal[program.name]) for program in programs}
    left = cpus - sum(widths.values())
    bases = [program.speed(equal[program.name]) / program.weight for program in programs]
    heap = [
        (-_slope(program, widths[program.name], STEP) / base, number)
        for number, (program, base) in enumerate(zip(programs, bases, strict=True))
    ]
    heapify(heap)
    while left > 1e-9 and heap:
        slope, number = heap[0]
        program = programs[number]
        width = widths[program.name]
        if slope >= 0:
            heappop(heap)
            continue
        wider = widths[program.name] = _within(program, width + min(STEP, left))
        left -= wider - width
        heapreplace(heap, (-_slope(program, wider, STEP) / bases[number], number))
    return widths


def _slope(program: Program, width: float, step: float) -> float:
    """Speed that a step gains, by the CPU; nothing where it has all that it can use."""
    wider = _within(program, width + step)
    if wider <= width + 1e-9:
        return 0.0
    if program.curve is None:
        return _UNKNOWN / wider * program.speed(1.0)
    return (program.speed(wider) - program.speed(width)) / (wider - width)


def _fair(program: Program, equal: float) -> float:
    """The least width at which a program runs FAIR times as fast as at its equal share, in steps of STEP from there."""
    if program.curve is None:
        return equal
    wanted = FAIR * program.speed(equal)
    fewer, too_few = 0, floor(equal / STEP) + 1
    while too_few - fewer > 1:
        steps = (fewer + too_few) // 2
        if program.speed(_within(program, equal - steps * STEP)) >= wanted:
            fewer = steps
        else:
            too_few = steps
    return _within(program, equal - fewer * STEP)


_UNKNOWN = 1e-9
"""Gain by a further CPU that is supposed of a program without a curve: less than any that is known."""
