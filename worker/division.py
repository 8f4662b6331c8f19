"""What each container on this machine gets of its CPU, as containers begin and end to compute. Widths in CPUs.

The budget is what the admin allocated (containers × CPUs), and never more than the volunteer's ceiling and the machine.
How it is divided is the allocation's policy (worker/policies.py); here is when, and what follows for a container.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dockercomp.protocol.messages import Allocation, Ceiling, JobPoints, Priority
from dockercomp.protocol.speedup import Curve, fit

from .cpu_plan import LEAST, settled
from .pinning import Pins
from .policies import Computing, Question, divided, overcommitted, preference, telling, wanting
from .sweeping import REMEMBERED, Sweeps

__all__ = ["LINGER_S", "SETTLE_S", "WEIGHTS", "Computing", "Division", "Share"]

WEIGHTS: Mapping[Priority, int] = {"low": 256, "normal": 1024, "high": 4096}
"""Of a container against the others on the machine, on the scale of cgroup v1's cpu.shares."""
LINGER_S = 1.0
"""A container that ended a chunk so short ago counts as one that computes: the next chunk follows mostly."""
SETTLE_S = 1.0
"""Between two divisions among the same programs of the same CPU."""


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

    def __init__(self, machine: float, pins: Pins | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`machine` is the number of its CPUs. Without `pins` no container is held to certain CPUs."""
        self._machine, self._pins, self._clock = machine, pins, clock
        self._curves: dict[tuple[str, int], Curve | None] = {}
        self._sweeps = Sweeps()
        self._busy: dict[int, tuple[Computing, float]] = {}
        """Who computes, and when it was last seen to."""
        self._question: Question | None = None
        self._plan: dict[int, float] = {}
        self._changed = -math.inf
        self._settled_on: object = None
        """The curves that the plan was last compared with."""
        self._answer: tuple[object, dict[int, Share]] = (None, {})

    def learned(self, points: Iterable[JobPoints]) -> None:
        """What the pool knows of how jobs speed up."""
        known = list(points)
        self._sweeps.learned(known)
        fits = {(job.job, job.stage): telling(fit(job.points)) for job in known}
        self._curves = dict(list({**self._curves, **fits}.items())[-REMEMBERED:])

    def shares(
        self, allowed: Allocation, ceiling: Ceiling, idle: Sequence[int], computing: Sequence[Computing]
    ) -> Mapping[int, Share]:
        """A share for each slot named; `idle` are containers that run no chunk. Call it before a chunk begins, after it
        ended or its container went, when the allocation or the ceiling changed, and about once a second."""
        now = self._clock()
        programs, resting = self._lingering(now, idle, computing)
        law = max(LEAST, min(ceiling.cpus, self._machine))
        question = Question(
            policy=allowed.policy,
            law=law,
            budget=max(LEAST, min(allowed.containers * allowed.cpus, law)),
            each=allowed.cpus,
            resting=frozenset(resting),
            programs=tuple(replace(program, chunk="") for program in programs),
        )
        together = self._together(question) if question.policy == "overcommit" else None
        if question.policy == "overcommit" and together is None:
            question = replace(question, policy="equal")
        if together is None:
            question = replace(question, swept=self._swept(question, computing))
            self._follow(question, now)
        else:
            self._question, self._plan = question, overcommitted(question)
        asked = (question, self._plan, together, allowed.priority)
        if self._answer[0] != asked or (self._pins and self._pins.short):
            if together is None:
                cpusets = self._pins.sets(self._plan, resting) if self._pins else {}
            else:
                cpusets = dict.fromkeys(self._plan, together)
            self._answer = (asked, self._shares(question, self._plan, cpusets, WEIGHTS[allowed.priority]))
        return self._answer[1]

    def _lingering(
        self, now: float, idle: Sequence[int], computing: Sequence[Computing]
    ) -> tuple[list[Computing], list[int]]:
        found = {program.slot: (program, now) for program in computing}
        for slot in idle:
            last = self._busy.get(slot)
            if last and now - last[1] < LINGER_S and slot not in found:
                found[slot] = last
        self._busy = found
        programs = sorted((program for program, _ in found.values()), key=lambda program: program.slot)
        return programs, [slot for slot in idle if slot not in found]

    # --- widths ---

    def _follow(self, question: Question, now: float) -> None:
        """At once where something else is asked; else if it is worth it, and not more often than each SETTLE_S."""
        same = question == self._question
        if same and (now - self._changed < SETTLE_S or self._settled_on is self._curves):
            return
        self._settled_on = self._curves
        plan = divided(question, self._curves)
        if same and question.policy == "curve":
            programs = wanting(question, self._curves)
            old, new = ({p.name: widths[int(p.name)] for p in programs} for widths in (self._plan, plan))
            if settled(programs, old, new) is old:
                plan = self._plan
        if plan != self._plan:
            self._plan, self._changed = plan, now
        self._question = question

    def _swept(self, question: Question, computing: Sequence[Computing]) -> tuple[tuple[int, float], ...]:
        sweeping = [program for program in computing if program.sweep]
        if not sweeping:
            self._sweeps.assigned((), {}, question.budget)
            return ()
        fair = divided(replace(question, policy="fixed" if question.policy == "fixed" else "equal"), self._curves)
        return tuple(sorted(self._sweeps.assigned(sweeping, fair, question.budget).items()))

    # --- CPUs ---

    def _together(self, question: Question) -> str | None:
        """The cpuset of all containers that overcommit, which alone holds them to the ceiling; None where they must be
        divided after all. A fraction of a CPU cannot be had that way and is left."""
        count = math.floor(question.budget + 1e-6)
        if count >= self._machine:
            if self._pins:
                self._pins.none()
            return ""
        return self._pins.together(count) if self._pins and count else None

    def _shares(
        self, question: Question, plan: Mapping[int, float], cpusets: Mapping[int, str], weight: int
    ) -> dict[int, Share]:
        most = {program.slot: max(program.most, program.least) for program in question.programs}
        priority = {program.slot: program.priority for program in question.programs}
        apart = question.policy != "overcommit" or len(question.programs) < 2
        found = {}
        for slot, cpus in plan.items():
            quota = _floored(cpus)
            width = _told(quota, most.get(slot, math.inf))
            heavier = preference(priority.get(slot, 0)) if question.policy == "overcommit" else 1.0
            found[slot] = Share(
                cpus=quota,
                cpuset=cpusets.get(slot, ""),
                weight=max(2, min(262144, round(weight * heavier))),
                width=width,
                had=_timed(min(quota, width)) if apart else 0.0,
            )
        return found


def _told(quota: float, most: float) -> int:
    """The whole number of CPUs that comes closest to a quota, as far as the job can use them."""
    width = math.floor(quota + 0.5)
    return max(1, width if width <= most else math.ceil(most))


def _timed(cpus: float) -> float:
    """To twentieths of a CPU, so that runs at about the same width count as runs at one."""
    return max(LEAST, round(cpus * 20) / 20)


def _floored(cpus: float) -> float:
    """Down to thousandths, so that the sum stays below the whole."""
    return max(LEAST, math.floor(cpus * 1000 + 1e-6) / 1000)
