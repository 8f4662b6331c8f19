"""From what is wanted to what must be done: the steps that make the slots follow an allocation. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from dockercomp.protocol.messages import ContainerReport

from .tasks import Reading, Size

PAGE = 4096
"""Bytes; the kernel rounds a memory limit down to a whole page."""


@dataclass(frozen=True)
class SlotNow:
    """One slot as it is. `planned` and `wanted` are None while it has no container."""

    number: int
    busy: bool = False
    draining: bool = False
    frozen: bool = False
    planned: Size | None = None
    wanted: Size | None = None


@dataclass(frozen=True)
class Open:
    """Start a slot of this number."""

    number: int


@dataclass(frozen=True)
class Drain:
    """Let the slot finish its chunk, then go."""

    number: int


@dataclass(frozen=True)
class Keep:
    """A draining slot is wanted again."""

    number: int


@dataclass(frozen=True)
class Resize:
    number: int
    size: Size


@dataclass(frozen=True)
class Freeze:
    number: int


@dataclass(frozen=True)
class Thaw:
    number: int


Step = Open | Drain | Keep | Resize | Freeze | Thaw


def steps(containers: int, paused: bool, slots: Sequence[SlotNow]) -> list[Step]:
    """What leads from `slots` to so many `containers`: what gives room first, then what takes it.

    Busy slots are the last to be drained, and of equals the highest numbers go.
    """
    kept = sorted(slots, key=lambda slot: (slot.draining, not slot.busy, slot.number))[:containers]
    gone = [slot for slot in slots if slot not in kept]
    plan: list[Step] = [Drain(slot.number) for slot in gone if not slot.draining]
    plan += _resizes(slots)
    plan += [Freeze(slot.number) for slot in slots if paused and slot.planned and not slot.frozen]
    plan += [Thaw(slot.number) for slot in slots if slot.frozen and not paused]
    plan += [Keep(slot.number) for slot in kept if slot.draining]
    taken = {slot.number for slot in slots}
    free = (number for number in range(1, containers + len(taken) + 1) if number not in taken)
    plan += [Open(next(free)) for _ in range(containers - len(kept))]
    return plan


def _resizes(slots: Sequence[SlotNow]) -> list[Step]:
    """Shrinking before growing, so that the sum never exceeds the ceiling on the way."""
    changed = [(slot, slot.planned, slot.wanted) for slot in slots if slot.planned != slot.wanted]
    pairs = [(slot.number, old, new) for slot, old, new in changed if old is not None and new is not None]
    pairs.sort(key=lambda pair: (pair[2].memory_limit - pair[1].memory_limit, pair[2].cpus - pair[1].cpus))
    return [Resize(number, new) for number, _, new in pairs]


def in_force(reading: Reading, size: Size) -> bool:
    """Whether the limits read from a cgroup hold a container to its size; also where nothing could be read."""
    if not reading.source:
        return True
    cpus, memory = reading.cpus_limit, reading.memory_limit
    return cpus is not None and memory is not None and cpus <= size.cpus + 0.01 and memory <= size.memory_limit


def as_planned(report: ContainerReport) -> bool:
    """Whether a container's limits, as read back from its cgroup, are those that were planned."""
    if report.cpus_limit is None or report.memory_limit is None:
        return False
    return (
        abs(report.cpus_limit - report.cpus_planned) <= 0.01 and abs(report.memory_limit - report.memory_planned) < PAGE
    )
