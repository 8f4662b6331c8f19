"""Looks at the containers: reads their limits back, notices what has died or was changed, and makes the picture."""

from collections.abc import Sequence

from dockercomp.protocol.messages import LONGEST_SENTENCE, AppliedAllocation

from . import parts
from .adjusting import Adjusting
from .following import Wanted
from .house import House
from .picture import Picture
from .readback import Found, ReadBack
from .slots import Floor, Slot

_MOST_PROBLEMS = 12
"""Told at once, of the 16 that a sync may carry."""


class Looking:
    """The keeper's alone."""

    def __init__(self, floor: Floor, house: House, adjusting: Adjusting) -> None:
        self.drifted: set[int] = set()
        """The slots whose containers somebody else has changed, as the last look found."""
        self._floor, self._house, self._adjusting = floor, house, adjusting
        self._read_back, self._found = ReadBack(), list[Found]()

    def look(self, wanted: Wanted, memory_waits: Sequence[str]) -> Picture:
        """`memory_waits`: what keeps its memory to its chunk's end, a sentence each."""
        floor, adjusting = self._floor, self._adjusting
        slots = [slot for slot in adjusting.slots if not slot.ended]
        self._found = [found for slot in slots if (found := self._read_back.look(slot, floor.jobs))]
        self.drifted = set()
        for found in self._found:
            self._put_right(found)
        return Picture(
            ceiling=floor.ceiling,
            applied=self._applied(wanted, slots, memory_waits),
            containers=tuple(found.report for found in self._found),
            able=0 if wanted.paused else sum(slot.able for slot in slots),
            paused=wanted.verdict.why if wanted.paused else "",
            problems=self._problems(wanted, slots),
            rules=self._house.rules(wanted.view.wishes),
        )

    def _put_right(self, found: Found) -> None:
        """A container that was killed while idle is removed before the next chunk, not by it; what somebody else has
        changed is left to the next pass to put right."""
        slot = found.slot
        if found.report.state == "dead" and not slot.held:
            slot.gone = True
            self._floor.leases.wake()
        if found.drifted and found.seen:
            if found.pause:
                slot.frozen = bool(found.seen.reading.frozen)
            self._adjusting.note_mended(found.report.name, found.drifted)
            self.drifted.add(slot.number)

    def _applied(self, wanted: Wanted, slots: list[Slot], memory_waits: Sequence[str]) -> AppliedAllocation | None:
        if wanted.clipped is None:
            return None
        adjusting, allowed = self._adjusting, wanted.clipped.allowed
        barred = [found.report.chunk for found in self._found if self._is_barred(found)]
        facts = parts.Facts(
            clipped=wanted.clipped,
            seen=[found.seen for found in self._found if found.seen],
            slots=sum(not slot.leaving for slot in slots),
            leaving=sum(slot.leaving and slot.container is not None for slot in slots),
            frozen=wanted.frozen,
            paused_by=wanted.verdict.why,
            memory_waits=memory_waits,
            room_waits=list(adjusting.waits_for_room.values()),
            refused_sizes=adjusting.refusals("size"),
            refused_pauses=adjusting.refusals("pause"),
            left=self._floor.leftovers.sentences(),
            mended=adjusting.mended(),
            barred=barred,
            disk_over=bool(allowed.disk) and self._house.disk.used() > allowed.disk,
        )
        found = parts.reports(facts)
        unread = "" if facts.seen else parts.NOTHING_TO_READ
        refused = [f"The engine refused: {words}." for words in (*facts.refused_sizes, *facts.refused_pauses)]
        return AppliedAllocation(
            version=allowed.version,
            containers=facts.slots,
            cpus=allowed.cpus,
            memory=allowed.memory,
            verified=parts.verified(found),
            note=" ".join(part for part in (wanted.clipped.note, *refused, unread) if part)[:LONGEST_SENTENCE],
            parts=found,
        )

    def _is_barred(self, found: Found) -> bool:
        held = found.slot.held
        job = self._floor.jobs.get(held.lease.job) if held else None
        return job is not None and not self._floor.allows(job.order)

    def _problems(self, wanted: Wanted, slots: list[Slot]) -> tuple[str, ...]:
        adjusting, floor = self._adjusting, self._floor
        unread = [found.report.name for found in self._found if found.seen and not found.seen.reading.source]
        found = [
            wanted.view.problem,
            self._house.powerless(wanted.view.wishes),
            *(f"The engine refused: {words}." for words in (*adjusting.refusals("size"), *adjusting.refusals("pause"))),
            "" if floor.limits_hold else "This engine enforces no limits on CPU and memory.",
            f"The control group of {', '.join(unread)} cannot be read here, so its limits are not verified: see"
            " `dockercomp-worker doctor`."
            if unread
            else "",
            *floor.leftovers.sentences(),
            wanted.verdict.why if wanted.verdict.why and not wanted.verdict.freeze else "",
            *(slot.trouble for slot in slots),
        ]
        return tuple(sentence[:LONGEST_SENTENCE] for sentence in found if sentence)[:_MOST_PROBLEMS]
