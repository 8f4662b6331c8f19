"""How a machine's CPU is divided among the programs that run on it: pure rules, no I/O. Widths in CPUs.

Three policies. Overcommit: every program may use all of the machine, and the kernel's scheduler divides it. Equal: each
gets the same, but for its least and most. Curve: each first gets what keeps it within FAIR of its speed at its equal
share, then each further step goes to the program whose relative speed gains most by it. Speeds are concave up to their
peak, so taking the steepest step each time gives the largest sum (Gross, "A class of discrete type minimization
problems", 1956). A program without a curve counts as one that uses whatever it gets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    widths = _equal(cpus, programs)
    return widths if policy == "equal" or len(programs) < 2 else _by_curve(cpus, programs, widths)


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
    widths = {program.name: _fair(program, equal[program.name]) for program in programs}
    left = cpus - sum(widths.values())
    while left > 1e-9:
        best = max(programs, key=lambda p: _slope(p, widths[p.name], min(STEP, left), equal[p.name]))
        step = min(STEP, left)
        if _slope(best, widths[best.name], step, equal[best.name]) <= 0:
            break
        widths[best.name] = _within(best, widths[best.name] + step)
        left = cpus - sum(widths.values())
    return widths


def _slope(program: Program, width: float, step: float, equal: float) -> float:
    """Relative speed that a step gains, by weight; nothing where it has all that it can use."""
    wider = _within(program, width + step)
    if wider <= width + 1e-9:
        return 0.0
    return program.weight * (program.speed(wider) - program.speed(width)) / program.speed(equal)


def _fair(program: Program, equal: float) -> float:
    """The least width at which a program runs FAIR times as fast as at its equal share, in steps of STEP."""
    wanted = FAIR * program.speed(equal)
    steps = floor(equal / STEP)
    for number in range(1, steps + 1):
        width = _within(program, equal - (steps - number + 1) * STEP)
        if width < equal and program.speed(width) >= wanted:
            return width
    return equal
