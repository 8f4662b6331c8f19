"""Keeps the slots as they should be: one loop that makes them follow the allocation and reads their limits back."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from dockercomp.protocol.messages import LONGEST_SENTENCE, Allocation, AppliedAllocation, Ceiling, ContainerReport

from . import limits, permission
from .engine import EngineError
from .house import House
from .limits import TooSmall
from .permission import Verdict
from .readback import ReadBack
from .reconcile import Drain, Freeze, Keep, Open, Resize, SlotNow, Step, Thaw, as_planned, steps
from .slots import Floor, Slot
from .tasks import Size
from .volunteer import View, Volunteer

log = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two looks at the containers, the configuration and the volunteer's wishes."""


@dataclass(frozen=True)
class Picture:
    """The machine as it was last looked at."""

    ceiling: Ceiling
    applied: AppliedAllocation | None = None
    containers: tuple[ContainerReport, ...] = ()
    able: int = 0
    """Slots that would take a chunk."""
    paused: str = ""
    """Why nothing is taken now, in a sentence; empty while chunks are."""
    trouble: str = ""
    rules: list[str] = field(default_factory=list)
    """When the volunteer lets it work."""

    def differs(self, other: "Picture") -> bool:
        """Whether the master should hear of it at once: not of the use of CPU and memory, nor of every chunk."""

        def plain(picture: "Picture") -> object:
            ids = [(report.id, report.state in ("paused", "dead")) for report in picture.containers]
            return ids, picture.applied, picture.ceiling, picture.paused, picture.able, picture.trouble

        return plain(self) != plain(other)


class Keeper:
    """`want`, `cancel`, `stop` and `picture` may be used from any thread; everything else happens in the loop."""

    def __init__(
        self,
        floor: Floor,
        volunteer: Volunteer,
        house: House,
        cores: int,
        memory: int,
        tell: Callable[[], None],
    ) -> None:
        self.picture = Picture(ceiling=floor.ceiling)
        self._house, self._verdict, self._frozen = house, Verdict(), False
        self._floor, self._volunteer, self._cores, self._memory, self._tell = floor, volunteer, cores, memory, tell
        self._wanted: Allocation | None = None
        self._slots: list[Slot] = []
        self._cancels: set[str] = set()
        self._refusal = ""
        self._stopping = False
        self._wake = threading.Event()
        self._read_back = ReadBack()
        floor.news = self._wake.set
        self._thread = threading.Thread(target=self._loop, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def want(self, allocation: Allocation) -> None:
        """Follow this allocation from now on."""
        if allocation != self._wanted:
            log.info("allocation %d: %s", allocation.version, _said(allocation))
            self._wanted = allocation
            self._wake.set()

    def cancel(self, leases: Iterable[str]) -> None:
        """Kill the chunks of these leases where they run."""
        self._cancels |= set(leases)
        self._wake.set()

    def stop(self, grace: float, hurry: threading.Event) -> None:
        """Take no chunk, let running ones end for `grace` seconds or until `hurry`, give back the rest; remove all."""
        self._stopping = True
        self._wake.set()
        ends = time.monotonic() + grace
        while any(slot.held for slot in self._slots) and time.monotonic() < ends and not hurry.wait(0.05):
            pass
        for slot in self._slots:
            slot.giving_back = True
            self.cancel([slot.held.lease.id] if slot.held else [])
        self._thread.join(_REMOVAL)

    def _loop(self) -> None:
        while not (self._stopping and all(slot.ended for slot in self._slots)):
            self._wake.wait(TICK)
            self._wake.clear()
            try:
                self._pass()
            except Exception:
                log.exception("looking after the containers failed; trying again")

    def _pass(self) -> None:
        view = self._volunteer.look()
        note = self._decide(view)
        self._slots = [slot for slot in self._slots if not slot.ended]
        self._cancel()
        if self._floor.allowed is not None:
            containers = 0 if self._stopping else self._floor.allowed.containers
            self._refusal = ""
            for step in steps(containers, self._frozen, [self._now(slot) for slot in self._slots]):
                self._do(step)
        picture = self._look(view, note)
        changed, self.picture = picture.differs(self.picture), picture
        if changed:
            self._tell()

    def _decide(self, view: View) -> str:
        """What is allowed now goes to the floor; what was cut, in one sentence."""
        floor = self._floor
        if floor.gate.renew(view.wishes.consent):
            self._reconsider()
        wishes = replace(view.wishes, consent=floor.gate.consent)
        ceiling = limits.ceiling(wishes, self._cores, self._memory)
        allowed, note = limits.clip(self._wanted, ceiling) if self._wanted else (None, "")
        if (ceiling, allowed) != (floor.ceiling, floor.allowed):
            floor.ceiling, floor.allowed = ceiling, allowed
            floor.jobs.forgive()
        self._verdict = self._judge(view)
        paused = bool(self._verdict.why) and not self._stopping
        self._frozen = paused and self._verdict.freeze
        if paused != floor.paused:
            floor.paused = paused
            floor.leases.wake()
        if paused or self._stopping:
            floor.leases.return_waiting()
        return note

    def _reconsider(self) -> None:
        """The volunteer's consent has changed: refusals are forgotten, and what is not consented to any more ends."""
        floor = self._floor
        floor.jobs.forgive()
        for signed in floor.jobs.signed():
            why = floor.gate.objection(signed)
            if why:
                log.info("job %s: ends here: %s", signed.job, why)
                floor.jobs.refuse(signed.job, why)
                floor.leases.return_waiting([signed.job])
                held = [slot.held.lease for slot in self._slots if slot.held]
                self._cancels |= {lease.id for lease in held if lease.job == signed.job}

    def _judge(self, view: View) -> Verdict:
        """Whether chunks are taken now; who paused it comes before what the house says."""
        self._house.follow(view.wishes)
        self._floor.unlimited = view.wishes.unlimited
        if view.paused:
            return Verdict("Paused by the volunteer.", freeze=True)
        if self._floor.allowed is not None and self._floor.allowed.paused:
            return Verdict("Paused by an admin.", freeze=True)
        reports = self.picture.containers
        return self._house.judge(
            view.wishes, sum(report.cpus_used or 0.0 for report in reports), self._floor.limits_hold
        )

    def _now(self, slot: Slot) -> SlotNow:
        now = SlotNow(slot.number, busy=slot.held is not None, draining=slot.leaving)
        job = self._floor.jobs.get(slot.container.job) if slot.container and slot.live else None
        if job is None or slot.planned is None:
            return now
        wanted: Size | None = None
        with contextlib.suppress(TooSmall):
            wanted = self._floor.size_for(job.order)
        return replace(now, planned=slot.planned, wanted=wanted, frozen=slot.frozen)

    def _do(self, step: Step) -> None:
        slot = next((slot for slot in self._slots if slot.number == step.number), None)
        if isinstance(step, Open):
            slot = Slot(step.number, self._floor)
            self._slots.append(slot)
            slot.thread.start()
        elif slot is None:
            return
        elif isinstance(step, Drain | Keep):
            slot.leaving = isinstance(step, Drain)
            self._floor.leases.wake()
        else:
            try:
                self._act(slot, step)
            except EngineError as error:
                self._refusal = f"The engine refused: {error}"
                log.warning("slot %d: %s: %s", slot.number, type(step).__name__, error)

    def _act(self, slot: Slot, step: Resize | Freeze | Thaw) -> None:
        container = slot.container
        if container is None or not slot.live:
            return
        if isinstance(step, Resize):
            container.resize(step.size)
            slot.planned = step.size
            log.info("%s: now %g CPUs, %d MiB", container.name, step.size.cpus, step.size.memory // limits.MIB)
        elif isinstance(step, Freeze):
            container.pause()
            slot.frozen = True
        else:
            container.unpause()
            slot.frozen = False

    def _cancel(self) -> None:
        for slot in self._slots:
            held, container = slot.held, slot.container
            if held and held.lease.id in self._cancels and container and slot.live:
                log.info("lease %s: cancelled", held.lease.id)
                with contextlib.suppress(EngineError):
                    container.cancel()
        self._cancels = {slot.held.lease.id for slot in self._slots if slot.held} & self._cancels

    def _look(self, view: View, note: str) -> Picture:
        slots = [slot for slot in self._slots if not slot.ended]
        reports = tuple(report for slot in slots if (report := self._read_back.report(slot, self._floor.jobs)))
        self._notice_dead(slots, reports)
        unlimited = "" if self._floor.limits_hold else "This engine enforces no limits on CPU and memory."
        trouble = [view.problem, self._refusal, unlimited, *(slot.trouble for slot in slots)]
        paused = self._verdict.why if self._floor.paused else ""
        return Picture(
            ceiling=self._floor.ceiling,
            applied=self._applied(slots, reports, note),
            containers=reports,
            able=0 if paused else sum(slot.able for slot in slots),
            paused=paused,
            trouble=" ".join(sentence for sentence in trouble if sentence),
            rules=permission.rules(view.wishes),
        )

    def _notice_dead(self, slots: list[Slot], reports: tuple[ContainerReport, ...]) -> None:
        """A container that was killed while idle is removed before the next chunk, not by it."""
        dead = {report.id for report in reports if report.state == "dead"}
        for slot in slots:
            if slot.live and slot.container and slot.container.id in dead and not slot.held:
                slot.gone = True
                self._floor.leases.wake()

    def _applied(self, slots: list[Slot], reports: tuple[ContainerReport, ...], note: str) -> AppliedAllocation | None:
        allowed = self._floor.allowed
        if allowed is None:
            return None
        verified = bool(reports) and all(as_planned(report) for report in reports)
        unread = "" if reports else "No container runs now, so nothing could be read back."
        return AppliedAllocation(
            version=allowed.version,
            containers=sum(not slot.leaving for slot in slots),
            cpus=allowed.cpus,
            memory=allowed.memory,
            verified=verified and not self._refusal,
            note=" ".join(part for part in (note, self._refusal, unread) if part)[:LONGEST_SENTENCE],
        )


_REMOVAL = 20.0
"""Seconds that removing the containers may take when the daemon stops."""


def _said(allocation: Allocation) -> str:
    memory = allocation.memory // limits.MIB
    paused = ", paused" if allocation.paused else ""
    return f"{allocation.containers} containers, {allocation.cpus:g} CPUs and {memory} MiB each{paused}"
