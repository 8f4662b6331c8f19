"""An allocation's policy, from who computes to how many CPUs each has: pure rules over worker/cpu_plan.py."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dockercomp.protocol.messages import Policy
from dockercomp.protocol.speedup import Curve

from .cpu_plan import LEAST, Program, divide

SPAN = 1.5
"""The widest run of a curve that is believed has as many times the CPUs of the narrowest, at least."""
REACH = 2.0
"""As many times the CPUs of its widest run is how far a curve is believed; the next runs carry it further."""

Curves = Mapping[tuple[str, int], Curve | None]
"""By job and stage."""


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
class Question:
    """What a division follows from, but for what is known of speed-ups."""

    policy: Policy
    law: float
    """The most that all containers together may have, whatever the admin allocated."""
    budget: float
    each: float
    resting: frozenset[int]
    programs: tuple[Computing, ...]
    swept: tuple[tuple[int, float], ...] = ()


def divided(question: Question, curves: Curves) -> dict[int, float]:
    """CPUs of each slot. Not for a policy of overcommitting."""
    if question.policy == "fixed":
        plan = _fixed(question)
        return plan | dict(question.swept)
    plan = dict.fromkeys(question.resting, LEAST) | dict(question.swept)
    programs = wanting(question, curves)
    if programs:
        left = max(LEAST, question.budget - sum(plan.values()))
        programs = _fitting(left, programs)
        if question.policy == "curve":
            widths = divide("curve", left, _within_reach(left, programs))
        else:
            widths = divide("equal", left, programs)
        plan |= {int(name): cpus for name, cpus in widths.items()}
    return plan


def wanting(question: Question, curves: Curves) -> list[Program]:
    """The programs that the policy divides among."""
    swept = dict(question.swept)
    weighed = question.policy == "curve"
    return [
        Program(
            name=str(program.slot),
            curve=curves.get((program.job, program.stage)) if weighed else None,
            least=program.least,
            most=max(program.least, program.most, LEAST),
            weight=preference(program.priority) if weighed else 1.0,
        )
        for program in question.programs
        if program.slot not in swept
    ]


def _fixed(question: Question) -> dict[int, float]:
    """Each its own, used or not. While containers still drain there are more than are allocated: the ceiling holds."""
    slots = [*question.resting, *(program.slot for program in question.programs)]
    return {slot: max(LEAST, min(question.each, question.law / len(slots))) for slot in slots}


def overcommitted(question: Question) -> dict[int, float]:
    """Each as much as it can use of all; the kernel divides. Idle ones keep it, as they use none."""
    whole = max(1.0, math.floor(question.budget + 1e-6))
    plan = dict.fromkeys(question.resting, whole)
    return plan | {p.slot: max(LEAST, min(whole, max(p.least, p.most))) for p in question.programs}


def _fitting(cpus: float, programs: Sequence[Program]) -> list[Program]:
    """The programs with least widths that fit into so many CPUs together: where theirs do not, what each wants beyond
    LEAST is lowered alike, since the ceiling is law."""
    wanted = [max(LEAST, program.least) - LEAST for program in programs]
    room = max(0.0, cpus - LEAST * len(programs))
    if sum(wanted) <= room:
        return list(programs)
    part = room / sum(wanted)
    return [replace(program, least=LEAST + more * part) for program, more in zip(programs, wanted, strict=True)]


def telling(curve: Curve | None) -> Curve | None:
    """The curve where its widths lie far enough apart to tell a speed-up from noise."""
    return curve if curve and curve.widest >= SPAN * max(1.0, curve.narrowest) else None


def _within_reach(cpus: float, programs: Sequence[Program]) -> list[Program]:
    """The programs, none of which gets more than its equal share and than REACH times what it was measured at."""
    equal = divide("equal", cpus, [replace(program, weight=1.0) for program in programs])
    return [
        replace(p, most=min(p.most, max(equal[p.name], REACH * p.curve.widest))) if p.curve else p for p in programs
    ]


def preference(priority: int) -> float:
    """-100 … 100 to a quarter … four times."""
    return float(2.0 ** (max(-100, min(100, priority)) / 50))
