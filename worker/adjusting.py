"""Does the steps: starts and ends slots, changes, freezes and ends their containers, and remembers what was refused."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from .engine import EngineError
from .limits import MIB
from .patience import backoff
from .reconcile import Drain, End, Freeze, Keep, Open, Resize, SlotNow, Step, Thaw
from .room import NoRoomYet
from .slots import Floor, Slot
from .tasks import Size

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until the engine is asked again for what it refused: doubling from the first to the longest."""
ENOUGH = 3
"""Times that the engine is asked again, before a container that is above the ceiling ends instead."""
TOLD_S = 60.0
"""For so long it is told what was put right."""

Kind = Literal["size", "pause"]


@dataclass(frozen=True)
class Refusal:
    """What the engine said to a change of one container."""

    container: str
    words: str
    wanted: object
    tries: int
    due: float


class Adjusting:
    """The keeper's alone."""

    def __init__(self, floor: Floor, clock: Callable[[], float] = time.monotonic) -> None:
        self._floor, self._clock = floor, clock
        self._refused: dict[tuple[int, Kind], Refusal] = {}
        self._no_room: dict[int, str] = {}
        self._mended: dict[str, tuple[str, float]] = {}
        self.slots: list[Slot] = []

    # --- what is known ---

    def refusals(self, kind: Kind) -> list[str]:
        """The engine's own words on what it does not do, each with its container."""
        return [f"{r.container}: {r.words}" for (_, of), r in sorted(self._refused.items()) if of == kind]

    def unshrunk(self) -> list[int]:
        """The slots whose containers should have less, which the engine has refused again and again."""
        planned = {slot.number: slot.planned for slot in self.slots}
        return [
            number
            for (number, _), refusal in self._refused.items()
            if refusal.tries >= ENOUGH and isinstance(step := refusal.wanted, Resize) and (has := planned.get(number))
            if step.size.cpus < has.cpus or step.size.memory_limit < has.memory_limit
        ]

    @property
    def waits_for_room(self) -> Mapping[int, str]:
        """Slots whose container does not get more yet, as others still hold it."""
        return self._no_room

    def mended(self) -> str:
        """What was put right within the last minute; empty: nothing."""
        now = self._clock()
        self._mended = {name: (what, at) for name, (what, at) in self._mended.items() if now - at < TOLD_S}
        said = ", ".join(f"{name} {what}" for name, (what, _) in self._mended.items())
        return f"put right: {said}" if said else ""

    def note_mended(self, container: str, what: str) -> None:
        """Somebody else on this machine had changed the container: `what` it was."""
        if self._mended.get(container, ("", 0.0))[0] != what:
            log.warning("%s %s: putting it right", container, what)
        self._mended[container] = (what, self._clock())

    # --- what is done ---

    def forget_ended(self) -> None:
        self.slots = [slot for slot in self.slots if not slot.ended]
        there = {slot.number for slot in self.slots if slot.live}
        self._refused = {key: refusal for key, refusal in self._refused.items() if key[0] in there}
        self._no_room = {number: why for number, why in self._no_room.items() if number in there}

    def settled(self, slots: list[SlotNow], *, frozen: bool) -> None:
        """Nothing is refused any more where nothing is wanted any more; `frozen` is what is wanted of all."""
        for slot in slots:
            if slot.planned == slot.wanted and not slot.drifted:
                self._refused.pop((slot.number, "size"), None)
                self._no_room.pop(slot.number, None)
            if slot.frozen == frozen:
                self._refused.pop((slot.number, "pause"), None)

    def do(self, step: Step) -> None:
        """One step; what the engine refuses is remembered and asked for again later."""
        slot = next((slot for slot in self.slots if slot.number == step.number), None)
        if isinstance(step, Open):
            slot = Slot(step.number, self._floor)
            slot.thread.start()
            self.slots.append(slot)
        elif slot is None:
            return
        elif isinstance(step, Drain | Keep):
            slot.leaving = isinstance(step, Drain)
            slot.giving_back = isinstance(step, Drain) and step.requeue
            if slot.giving_back:
                self.give_back(slot)
            self._floor.leases.wake()
        elif isinstance(step, End):
            slot.gone = True
            self.give_back(slot)
            self._floor.leases.wake()
        else:
            self._try(slot, step)

    def give_back(self, slot: Slot) -> None:
        """The chunk that runs there ends now; it is nobody's fault."""
        container, held = slot.container, slot.held
        if held and container and slot.live and container.current_lease:
            log.info("lease %s: given back, as %s may not go on", held.lease.id, container.name)
            try:
                container.cancel()
            except EngineError as error:
                log.warning("%s: %s", container.name, error)

    def _try(self, slot: Slot, step: Resize | Freeze | Thaw) -> None:
        container = slot.container
        if container is None or not slot.live:
            return
        kind: Kind = "size" if isinstance(step, Resize) else "pause"
        before = self._refused.get((slot.number, kind))
        if before and before.wanted == step and self._clock() < before.due:
            return
        try:
            self._act(slot, step)
        except EngineError as error:
            tries = before.tries + 1 if before and before.wanted == step else 0
            due = self._clock() + backoff(FIRST_PAUSE, LONGEST_PAUSE, tries)
            self._refused[slot.number, kind] = Refusal(container.name, str(error), step, tries, due)
            log.warning("slot %d: %s: %s", slot.number, type(step).__name__, error)
        except NoRoomYet as error:
            self._no_room[slot.number] = str(error)
        else:
            self._refused.pop((slot.number, kind), None)
            self._no_room.pop(slot.number, None)

    def _act(self, slot: Slot, step: Resize | Freeze | Thaw) -> None:
        container = slot.container
        assert container is not None
        if isinstance(step, Resize):
            self._resize(slot, step.size)
            log.info("%s: now %g CPUs, %d MiB", container.name, step.size.cpus, step.size.memory // MIB)
        elif isinstance(step, Freeze):
            container.pause()
            slot.frozen = True
        else:
            container.unpause()
            slot.frozen = False

    def _resize(self, slot: Slot, size: Size) -> None:
        """More is taken before the engine is asked for it, less is given up after it was done."""
        container, floor, before = slot.container, self._floor, slot.planned
        assert container is not None
        assert before is not None
        widest = Size(max(size.cpus, before.cpus), max(size.memory, before.memory), size.scratch)
        floor.room.take(slot.number, widest, floor.ceiling, share_cpus=floor.shares_cpus, instead=True)
        done = False
        try:
            container.resize(size)
            slot.planned, done = size, True
        finally:
            floor.room.keep(slot.number, size if done else before)
