"""Keeps the slots as they should be: one loop that makes them follow what is wanted and reads their limits back."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from dockercomp.protocol.messages import LONGEST_SENTENCE, Allocation, Ceiling, JobPoints

from .adjusting import Adjusting
from .division import Computing, Division
from .engine import EngineError
from .following import Following, Wanted
from .house import House
from .jobs import Job
from .limits import MIB, TooSmall, Wishes
from .looking import Looking
from .picture import Picture
from .reconcile import End, SlotNow, kindly, steps
from .slots import Floor, Slot
from .volunteer import Volunteer

log = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two looks at the containers, the configuration and the volunteer's wishes."""
_REMOVAL = 20.0
"""Seconds that removing the containers may take when the daemon stops."""


class Keeper:
    """`want`, `learned`, `cancel`, `stop` and `picture` may be used from any thread; everything else happens in the
    loop."""

    def __init__(
        self,
        floor: Floor,
        volunteer: Volunteer,
        house: House,
        division: Division,
        ceiling: Callable[[Wishes, float], Ceiling],
        tell: Callable[[], None],
    ) -> None:
        """`ceiling`: see Following. `tell` is called where the master should hear of something soon."""
        self.picture = Picture(ceiling=floor.ceiling)
        self._floor, self._volunteer, self._house, self._division, self._tell = floor, volunteer, house, division, tell
        self._following, self._adjusting = Following(floor, house, ceiling), Adjusting(floor)
        self._looking = Looking(floor, house, self._adjusting)
        self._memory_waits: list[str] = []
        self._allocation: Allocation | None = None
        self._cancels: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._wake = threading.Event()
        floor.news = self._wake.set
        self._thread = threading.Thread(target=self._loop, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def want(self, allocation: Allocation) -> None:
        """Follow this allocation from now on."""
        if allocation != self._allocation:
            log.info("allocation %d: %s", allocation.version, _said(allocation))
            self._allocation = allocation
            self._wake.set()

    def learned(self, points: list[JobPoints]) -> None:
        """What the pool knows of how jobs speed up."""
        if points:
            self._division.learned(points)

    def cancel(self, leases: Iterable[str]) -> None:
        """Kill the chunks of these leases where they run."""
        with self._lock:
            self._cancels.update(leases)
        self._wake.set()

    def stop(self, grace: float, hurry: threading.Event) -> None:
        """Take no chunk, let running ones end for `grace` seconds or until `hurry`, give back the rest; remove all.

        What is frozen is not let go on for it: its chunk goes back at once.
        """
        self._stopping = True
        self._wake.set()
        ends = time.monotonic() + grace
        while self._runs() and time.monotonic() < ends and not hurry.wait(0.05):
            pass
        for slot in list(self._adjusting.slots):
            slot.giving_back, held = True, slot.held
            self.cancel([held.lease.id] if held else [])
        self._thread.join(_REMOVAL)

    def _runs(self) -> bool:
        return any(slot.held and not slot.frozen for slot in list(self._adjusting.slots))

    # --- the loop ---

    def _loop(self) -> None:
        while not (self._stopping and all(slot.ended for slot in self._adjusting.slots)):
            self._wake.wait(TICK)
            self._wake.clear()
            try:
                self._pass()
            except Exception as error:
                log.exception("looking after the containers failed; trying again")
                said = (
                    f"The worker failed to look after its containers, and tries again: {type(error).__name__}: {error}"
                )
                self._show(self.picture.out_of_date(said[:LONGEST_SENTENCE]))

    def _pass(self) -> None:
        busy = sum(report.cpus_used or 0.0 for report in self.picture.containers)
        view, stopping = self._volunteer.look(), self._stopping
        wanted = self._following.decide(view, self._allocation, busy, stopping=stopping)
        self._adjusting.forget_ended()
        self._cancel(wanted.objected)
        self._floor.leftovers.again()
        if wanted.allowed is not None:
            self._follow(wanted, wanted.allowed)
        known = self._looking.drifted
        picture = self._looking.look(wanted, self._memory_waits)
        if self._looking.drifted - known:
            self._wake.set()  # put right at once; what cannot be, is tried with every tick
        self._show(picture)

    def _show(self, picture: Picture) -> None:
        changed, self.picture = picture.differs(self.picture), picture
        if changed:
            self._tell()

    def _cancel(self, objected: frozenset[str]) -> None:
        """A slot may have taken a chunk without holding it yet, so that a lease is asked for until it is not held."""
        running = [(held.lease, slot) for slot in self._adjusting.slots if (held := slot.held)]
        with self._lock:
            self._cancels.update(lease.id for lease, _ in running if lease.job in objected)
            self._cancels = {lease for lease in self._cancels if self._floor.leases.holds(lease)}
            cancelled = frozenset(self._cancels)
        for lease, slot in running:
            container = slot.container
            if lease.id in cancelled and container and slot.live:
                log.info("lease %s: cancelled", lease.id)
                with contextlib.suppress(EngineError):
                    container.cancel()

    # --- making them follow ---

    def _follow(self, wanted: Wanted, allowed: Allocation) -> None:
        slots, adjusting = self._adjusting.slots, self._adjusting
        served = self._divide(allowed)
        nows = [self._now(slot) for slot in slots]
        nows, waits = kindly(nows, wanted.ceiling.memory, force=allowed.force)
        rested = any(slot.resting for slot in slots)
        for slot in slots:
            slot.resting = slot.number in waits
        self._memory_waits = [_waits(slot, now) for slot, now in zip(slots, nows, strict=True) if now.number in waits]
        containers = 0 if self._stopping else allowed.containers
        requeue = allowed.shrink == "requeue" and not self._stopping  # then chunks have their time to end
        for step in steps(containers, wanted.frozen, nows, requeue=requeue):
            adjusting.do(step)
        if self._floor.room.above(wanted.ceiling, share_cpus=self._floor.shares_cpus):
            for number in adjusting.unshrunk():
                adjusting.do(End(number))
        adjusting.settled(nows, frozen=wanted.frozen)
        self._floor.divided(served)
        if rested:
            self._floor.leases.wake()

    def _divide(self, allowed: Allocation) -> frozenset[str]:
        """Shares for all containers that are there or about to be; the leases that were divided among."""
        idle: list[int] = []
        computing: list[Computing] = []
        for slot in self._adjusting.slots:
            held = slot.held
            job = self._job(slot, held.lease.job) if held else None
            if held and job:
                need, lease = job.order.resources, held.lease
                computing.append(
                    Computing(
                        slot=slot.number,
                        job=lease.job,
                        stage=lease.stage,
                        least=need.least_cpus,
                        most=need.cpus,
                        priority=job.order.priority,
                        sweep=need.sweep,
                        chunk=lease.id,
                    )
                )
            elif slot.container is not None:
                idle.append(slot.number)
        self._floor.shares = self._division.shares(allowed, self._floor.ceiling, idle, computing)
        return frozenset(each.chunk for each in computing)

    def _job(self, slot: Slot, name: str) -> Job | None:
        """Also where it is refused by now: what still runs of it is paused and limited like the others."""
        own = slot.job
        return own if own and own.order.job == name else self._floor.jobs.get(name)

    def _now(self, slot: Slot) -> SlotNow:
        container, planned = slot.container, slot.planned
        now = SlotNow(slot.number, busy=slot.held is not None, draining=slot.leaving)
        job = self._job(slot, container.job) if container and slot.live else None
        if job is None or container is None or planned is None:
            return now
        now = replace(now, planned=planned, frozen=slot.frozen, drifted=slot.number in self._looking.drifted)
        try:
            now = replace(now, wanted=self._floor.size_for(slot.number, job.order))
        except TooSmall:
            return replace(now, wanted=self._floor.shaped(slot.number, planned), too_small=True)
        if now.wanted and now.wanted.memory < planned.memory:
            return replace(now, used=container.reading().memory_used or 0)
        return now


def _waits(slot: Slot, now: SlotNow) -> str:
    name = slot.container.name if slot.container else f"slot {slot.number}"
    if now.too_small:
        return f"{name} keeps its memory until its chunk ends: its job needs more than it may have here from then on."
    return f"{name} uses {_rounded(now.used)} MiB now, and gets less when its chunk ends."


def _rounded(size: int) -> int:
    """MiB, in steps that do not make news of every page."""
    return -(-size // (16 * MIB)) * 16


def _said(allocation: Allocation) -> str:
    memory = allocation.memory // MIB
    paused = ", paused" if allocation.paused else ""
    return f"{allocation.containers} containers, {allocation.cpus:g} CPUs and {memory} MiB each{paused}"
