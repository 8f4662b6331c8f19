"""What is wanted now: the admin's allocation under the volunteer's ceiling, and whether chunks may be worked on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dockercomp.protocol.messages import Allocation, Ceiling

from . import limits
from .house import House
from .limits import Clipped, Wishes
from .permission import Verdict
from .slots import Floor
from .volunteer import View

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """One look at it. `paused`: nothing begins; `frozen`: nothing goes on either; `objected`: jobs that the volunteer
    does not consent to any more."""

    ceiling: Ceiling
    view: View
    clipped: Clipped | None = None
    verdict: Verdict = field(default_factory=Verdict)
    paused: bool = False
    frozen: bool = False
    objected: frozenset[str] = frozenset()

    @property
    def allowed(self) -> Allocation | None:
        return self.clipped.allowed if self.clipped else None


class Following:
    """The keeper's alone. Brings what is wanted onto the floor, where the slots find it."""

    def __init__(self, floor: Floor, house: House, ceiling: Callable[[Wishes, float], Ceiling]) -> None:
        """`ceiling` is the most that wishes allow of this machine now, where our containers keep so many cores busy."""
        self._floor, self._house, self._ceiling = floor, house, ceiling

    def decide(self, view: View, wanted: Allocation | None, our_cpus: float, *, stopping: bool) -> Wanted:
        """What holds from now on. `our_cpus` is what our containers keep busy, in cores."""
        floor = self._floor
        if consent_changed := floor.gate.renew(view.wishes.consent):
            floor.jobs.forgive()
        ceiling = self._ceiling(replace(view.wishes, consent=floor.gate.consent), our_cpus)
        clipped = limits.clip(wanted, ceiling) if wanted else None
        allowed = clipped.allowed if clipped else None
        if (ceiling, allowed) != (floor.ceiling, floor.allowed):
            floor.ceiling, floor.allowed = ceiling, allowed
            floor.jobs.forgive()
            floor.leases.wake()
        objected = self._objected() if consent_changed else frozenset[str]()
        verdict = self._judge(view, allowed, our_cpus)
        paused = bool(verdict.why)
        if paused != floor.paused:
            floor.paused = paused
            floor.leases.wake()
        if paused or stopping:
            floor.leases.return_waiting()
        elif barred := [job for job in floor.leases.jobs() if self._is_barred(job)]:
            floor.leases.return_waiting(barred)
        return Wanted(ceiling, view, clipped, verdict, paused, paused and verdict.freeze, objected)

    def _is_barred(self, job: str) -> bool:
        found = self._floor.jobs.get(job)
        return found is not None and not self._floor.allows(found.order)

    def _objected(self) -> frozenset[str]:
        """The jobs that are not consented to any more, which are refused from now on."""
        floor, found = (
            self._floor,
            {signed.job: self._floor.gate.objection(signed) for signed in self._floor.jobs.signed()},
        )
        for job, why in found.items():
            if why:
                log.info("job %s: ends here: %s", job, why)
                floor.jobs.refuse(job, why)
                floor.leases.return_waiting([job])
        return frozenset(job for job, why in found.items() if why)

    def _judge(self, view: View, allowed: Allocation | None, our_cpus: float) -> Verdict:
        """Whether chunks are taken now; who paused it comes before what the house says."""
        disk = allowed.disk if allowed else view.wishes.disk
        self._house.follow(replace(view.wishes, disk=disk or None))
        self._floor.unlimited = view.wishes.unlimited
        if view.paused:
            return Verdict(view.why_paused, freeze=True)
        if allowed is not None and allowed.paused:
            return Verdict("Paused by an admin.", freeze=True)
        return self._house.judge(view.wishes, our_cpus, self._floor.limits_hold)
