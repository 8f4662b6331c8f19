"""From what is wanted to what must be done: the steps that make the slots follow an allocation. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dockercomp.protocol.messages import Part

from . import cpu_list, cpu_weight
from .tasks import Reading, Size

PAGE = 4096
"""Bytes; the kernel rounds a memory limit down to a whole page."""
_SAME_CPUS = 0.01


@dataclass(frozen=True)
class SlotNow:
    """One slot as it is. `planned` and `wanted` are None while it has no container."""

    number: int
    busy: bool = False
    draining: bool = False
    frozen: bool = False
    planned: Size | None = None
    wanted: Size | None = None
    too_small: bool = False
    """Its job's need no longer fits; `wanted` is then its CPUs with the memory that it has."""
    used: int = 0
    """Bytes of memory that it cannot give back now."""
    drifted: bool = False
    """Its limits were changed by somebody else."""


@dataclass(frozen=True)
class Open:
    """Start a slot of this number."""

    number: int


@dataclass(frozen=True)
class Drain:
    """Let the slot finish its chunk, then go; or give it back at once."""

    number: int
    requeue: bool = False


@dataclass(frozen=True)
class Keep:
    """A draining slot is wanted again."""

    number: int


@dataclass(frozen=True)
class End:
    """Give its chunk back and remove its container: it may not have what it needs. The slot stays."""

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


Step = Open | Drain | Keep | End | Resize | Freeze | Thaw


def steps(containers: int, paused: bool, slots: Sequence[SlotNow], *, requeue: bool = False) -> list[Step]:
    """What leads from `slots` to so many `containers`: what gives room first, then what takes it.

    Busy slots are the last to be drained, and of equals the highest numbers go. `requeue`: those that go do not end
    their chunks first.
    """
    kept = sorted(slots, key=lambda slot: (slot.draining, not slot.busy, slot.number))[:containers]
    gone = [slot for slot in slots if slot not in kept]
    plan: list[Step] = [Drain(slot.number, requeue) for slot in gone if not slot.draining or (requeue and slot.busy)]
    plan += [End(slot.number) for slot in slots if slot.too_small and slot.planned and slot.wanted is None]
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
    changed = [(slot, slot.planned, slot.wanted) for slot in slots if slot.planned != slot.wanted or slot.drifted]
    pairs = [(slot.number, old, new) for slot, old, new in changed if old is not None and new is not None]
    pairs.sort(key=lambda pair: (pair[2].memory_limit - pair[1].memory_limit, pair[2].cpus - pair[1].cpus))
    return [Resize(number, new) for number, _, new in pairs]


def kindly(slots: Sequence[SlotNow], memory: int, *, force: bool = False) -> tuple[list[SlotNow], list[int]]:
    """The slots with what may be done to them now, and the numbers of those that wait for their chunk's end.

    A container that computes keeps its memory to its chunk's end where it uses more than it shall have, or where its
    job could not go on with less, but for `force`, and but where all containers together would have more than `memory`,
    the ceiling's: it is law. Then it gives its chunk back and ends: `wanted` is None. CPUs follow at once in any case.
    """
    rested = [replace(slot, wanted=None) if slot.too_small and not slot.busy else slot for slot in slots]
    holding = {slot.number for slot in rested if slot.busy and _needs_what_it_has(slot)}
    if force or sum(_memory_after(slot, slot.number in holding) for slot in rested) > memory:
        return [_ended(slot) if slot.number in holding else slot for slot in rested], []
    return [_held(slot) if slot.number in holding else slot for slot in rested], sorted(holding)


def _needs_what_it_has(slot: SlotNow) -> bool:
    if slot.planned is None or slot.wanted is None:
        return False
    return slot.too_small or (slot.wanted.memory < slot.planned.memory and slot.wanted.memory_limit < slot.used)


def _memory_after(slot: SlotNow, holds: bool) -> int:
    size = slot.planned if holds or (slot.wanted is None and not slot.too_small) else slot.wanted
    return size.memory_limit if size is not None else 0


def _held(slot: SlotNow) -> SlotNow:
    assert slot.planned is not None
    assert slot.wanted is not None
    return replace(slot, wanted=replace(slot.wanted, memory=slot.planned.memory))


def _ended(slot: SlotNow) -> SlotNow:
    return replace(slot, wanted=None, too_small=True)


# --- what was read back ------------------------------------------------------------------------------------------

_LIMITS: tuple[Part, ...] = ("cpus", "memory", "priority")
"""The parts of an allocation that a container's cgroup tells of; pins belong to its CPUs."""


def compared(reading: Reading, size: Size) -> Mapping[Part, bool | None]:
    """Of each part that a cgroup tells of: whether it is as planned, or None where that could not be read. A container
    that was planned to have no pins but whose pins cannot be read has none."""
    pins = None if reading.cpuset is None and size.cpuset else _same_cpus(reading.cpuset or "", size.cpuset)
    quota = None if reading.cpus_limit is None else abs(reading.cpus_limit - size.cpus) <= _SAME_CPUS
    memory = None if reading.memory_limit is None else abs(reading.memory_limit - size.memory_limit) < PAGE
    weight = None if reading.weight is None else cpu_weight.same(reading.weight, size.weight)
    if reading.source and reading.cpus_limit is None and reading.weight is not None:
        quota = False  # the group is there, and has no quota
    if reading.source and reading.memory_limit is None and reading.memory_used is not None:
        memory = False
    cpus = False if quota is False or pins is False else None if quota is None or pins is None else True
    return dict(zip(_LIMITS, (cpus, memory, weight), strict=True))


def _same_cpus(read: str, planned: str) -> bool:
    try:
        return cpu_list.parse(read) == cpu_list.parse(planned)
    except ValueError:
        return read == planned


def as_planned(reading: Reading, size: Size) -> bool:
    """Whether a container's limits, as read back from its cgroup, are those that were planned: all of them."""
    return all(compared(reading, size).values())


def in_force(reading: Reading, size: Size) -> bool:
    """Whether the limits read from a cgroup hold a container to its size; also where nothing could be read."""
    gone = reading.cpu_seconds is None and reading.memory_used is None
    if not reading.source or (gone and reading.cpus_limit is None and reading.memory_limit is None):
        return True  # one that has ended in the meantime says nothing of the engine
    cpus, memory = reading.cpus_limit, reading.memory_limit
    return cpus is not None and memory is not None and cpus <= size.cpus + _SAME_CPUS and memory <= size.memory_limit
