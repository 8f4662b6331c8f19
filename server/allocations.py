"""What a client is given: what is possible, what its group gives it, and how it is said. Pure, no I/O.

Sizes in bytes, CPUs in cores. An allocation is desired state: the master refuses what cannot be, and the worker clips
what is left by its ceiling and its machine as they are then.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from dockercomp.protocol.errors import InvalidAllocation
from dockercomp.protocol.messages import Allocation, Ceiling, Machine
from dockercomp.protocol.views import AllocationChange, GroupChange, GroupRule

Document = dict[str, Any]
T = TypeVar("T")

MEMORY_FLOOR = 16 * 2**20
CPUS_FLOOR = 0.05
DISK_FLOOR = 64 * 2**20
"""Least memory and CPUs of a container, and least disk of a client that is limited at all."""
CPUS_CLOSE = 0.001
"""CPUs; a difference as small as this comes from dividing."""
MOST_PATTERNS = 64
LONGEST_PATTERN = 200
_LARGEST = 2**53
_ROUNDING = 1e-6

FIRST_CONTACT = "the first contact"
"""Author of what a client is given before anybody changes it: all that its volunteer allows, in equal containers."""


@dataclass(frozen=True)
class Group:
    """A group of clients as it stands: what it asks of its members, and what it gives them."""

    name: str
    version: int
    change: GroupChange

    @property
    def author(self) -> str:
        """Who made what its members are given, in words."""
        return f"group {self.name}"


_NOTHING = Ceiling(containers=0, cpus=0.0, memory=0)
NO_GROUP = Group("", 0, GroupChange(rule=GroupRule()))
"""What clients without a group follow: all that the volunteer allows."""


def room_of(client: Document) -> Ceiling:
    """The most that can be given to a client: its volunteer's ceiling, and never more than the machine has."""
    return within(ceiling_of(client), machine_of(client))


def ceiling_of(client: Document) -> Ceiling:
    """What its volunteer allows; nothing at all where that cannot be read, until the client tells it again."""
    return _readable(client["ceiling"], Ceiling) or _NOTHING


def machine_of(client: Document) -> Machine | None:
    """None where it was not told, or cannot be read: one odd value must not hide the client, nor stop its group."""
    found = client.get("machine")
    return _readable(found, Machine) if found else None


def _readable(told: Any, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(told, kind, strict=False)
    except msgspec.ValidationError:
        return None


def within(ceiling: Ceiling, machine: Machine | None) -> Ceiling:
    """A ceiling, cut down to the machine as far as that says what it has."""
    if machine is None:
        return ceiling
    cpus = min(ceiling.cpus, machine.cpus or ceiling.cpus)
    return replace(ceiling, cpus=cpus, memory=min(ceiling.memory, machine.memory or ceiling.memory))


# --- what is possible ------------------------------------------------------------------------------------------------


def check_allocation(change: AllocationChange, ceiling: Ceiling, machine: Machine | None = None) -> None:
    """Raises InvalidAllocation where it is not a possible one within the ceiling and the machine; says which part, its
    range and the way out."""
    for _, reason in allocation_violations(change, ceiling, machine):
        raise InvalidAllocation(reason)


def allocation_violations(
    change: AllocationChange, ceiling: Ceiling, machine: Machine | None = None
) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) for all that makes the change impossible. Not a number is never possible."""
    room = within(ceiling, machine)
    possible = 0 <= change.containers <= room.containers
    containers = max(1, change.containers) if possible else 1
    if not possible:
        yield "containers", f"containers must be between 0 and {room.containers}, the volunteer's ceiling"
    if not CPUS_FLOOR <= change.cpus < math.inf:
        yield "cpus", f"CPUs per container must be a number from {CPUS_FLOOR} to {room.cpus:g}"
    elif not containers * change.cpus <= room.cpus + _ROUNDING:
        whose = _whose(room.cpus < ceiling.cpus, f"{room.cpus:g}")
        out = _way_out(containers, int(room.cpus / change.cpus + _ROUNDING), f"{_down(room.cpus / containers):g} CPUs")
        yield "cpus", f"{_so_many(containers)} of {change.cpus:g} CPUs: {whose} in all; {out}"
    if not change.memory >= MEMORY_FLOOR:
        yield "memory", f"memory per container must be from {_mib(MEMORY_FLOOR)} to {_mib(room.memory)}"
    elif not containers * change.memory <= room.memory:
        whose = _whose(room.memory < ceiling.memory, _mib(room.memory))
        out = _way_out(containers, room.memory // change.memory, _mib(room.memory // containers))
        yield "memory", f"{_so_many(containers)} of {_mib(change.memory)}: {whose} in all; {out}"
    yield from _disk_violations(change.disk, room.disk)
    yield from _pattern_violations(change.jobs)


def check_group(change: GroupChange) -> None:
    """Raises InvalidAllocation where a group cannot be so; says which part, its range and the way out."""
    for _, reason in group_violations(change):
        raise InvalidAllocation(reason)


def group_violations(change: GroupChange) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) for all that no group can have, whoever its members are."""
    if not 0 <= change.order <= 1_000_000:
        yield "order", "the order must be a whole number from 0 to 1,000,000; the lowest comes first"
    if not 0 < change.share <= 1:
        yield "share", "the share of each member's ceiling must be above 0 and at most 1"
    if change.containers is not None and not 0 <= change.containers <= 1000:
        yield "containers", "containers must be between 0 and 1000, or left out: as many as fit"
    if change.cpus is not None and not CPUS_FLOOR <= change.cpus <= 100_000:
        yield "cpus", f"CPUs per container must be a number from {CPUS_FLOOR}, or left out: an equal share"
    if change.memory is not None and not MEMORY_FLOOR <= change.memory <= _LARGEST:
        yield "memory", f"memory per container must be at least {_mib(MEMORY_FLOOR)}, or left out: an equal share"
    if not 0 <= change.rule.least_cpus <= 1e6:
        yield "rule", "the least CPUs of a member's machine must be a number from 0"
    if not 0 <= change.rule.least_memory <= _LARGEST:
        yield "rule", "the least memory of a member's machine must be from 0"
    if any(len(each) > LONGEST_PATTERN for each in (change.rule.owner, change.rule.name, change.rule.platform)):
        yield "rule", f"owner, name and platform have at most {LONGEST_PATTERN} characters"
    yield from (("rule", reason) for reason in tag_violations(change.rule.tags))
    yield from _disk_violations(change.disk, 0)
    yield from _pattern_violations(change.jobs)


MOST_TAGS, LONGEST_TAG = 16, 40
_TAG_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")


def tag_violations(tags: Sequence[str]) -> Iterator[str]:
    """What is wrong with a client's tags."""
    if len(tags) > MOST_TAGS:
        yield f"at most {MOST_TAGS} tags, not {len(tags)}"
    for tag in tags:
        if not (1 <= len(tag) <= LONGEST_TAG and set(tag) <= _TAG_CHARACTERS):
            yield f"a tag is 1 to {LONGEST_TAG} lower-case letters, digits and - . _ , not {tag[:LONGEST_TAG]!r}"


def _disk_violations(disk: int, most: int) -> Iterator[tuple[str, str]]:
    if disk and not DISK_FLOOR <= disk <= (most or _LARGEST):
        top = f"to {_mib(most)}, the volunteer's ceiling" if most else "up"
        yield "disk", f"disk must be 0 (as the volunteer allows), or from {_mib(DISK_FLOOR)} {top}"


def _pattern_violations(jobs: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(jobs) > MOST_PATTERNS:
        yield "jobs", f"at most {MOST_PATTERNS} patterns of jobs, not {len(jobs)}"
    if any(not (each.strip() and len(each) <= LONGEST_PATTERN and each.isprintable()) for each in jobs):
        yield "jobs", f"a pattern of jobs has 1 to {LONGEST_PATTERN} characters, such as wordcount or *-nightly"


def _whose(the_machine: bool, much: str) -> str:
    return f"the machine has {much}" if the_machine else f"the volunteer's ceiling is {much}"


def _way_out(containers: int, fit: int, each: str) -> str:
    fewer = f", or {fit} container{'s' * (fit != 1)}" if containers > 1 and fit >= 1 else ""
    return f"at most {each}{' each' * (containers > 1)}{fewer}"


def _so_many(containers: int) -> str:
    return f"{containers} containers" if containers > 1 else "a container"


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"


def _down(cpus: float) -> float:
    """To thousandths, never above."""
    return math.floor(cpus * 1000 + _ROUNDING) / 1000


# --- groups ----------------------------------------------------------------------------------------------------------


def fits(rule: GroupRule, client: Document) -> bool:
    """Whether a client belongs to a group of this rule."""
    machine = client.get("machine") or {}
    return (
        set(rule.tags) <= set(client.get("tags") or [])
        and (not rule.owner or rule.owner == client["owner"])
        and (not rule.name or fnmatchcase(client["name"], rule.name))
        and (not rule.platform or rule.platform == machine.get("platform"))
        and machine.get("cpus", 0) >= rule.least_cpus
        and machine.get("memory", 0) >= rule.least_memory
    )


def group_of(client: Document, groups: Sequence[Group]) -> Group:
    """The group a client belongs to: of those it fits the one with the lowest order, of equals the first by name;
    NO_GROUP where it fits none."""
    fitting = (group for group in groups if fits(group.change.rule, client))
    return min(fitting, key=lambda group: (group.change.order, group.name), default=NO_GROUP)


def given(group: GroupChange, room: Ceiling) -> AllocationChange:
    """What a group gives a member that has this `room`: within the member's share, and never below what a container
    needs; no containers where not even one can be held."""
    cpus, memory = room.cpus * group.share, int(room.memory * group.share)
    most = min(room.containers, int(cpus / CPUS_FLOOR + _ROUNDING), memory // MEMORY_FLOOR)
    if group.containers is not None:
        containers = min(most, group.containers)
    else:
        fit = min(int(cpus / (group.cpus or CPUS_FLOOR) + _ROUNDING), memory // (group.memory or MEMORY_FLOOR))
        containers = min(most, max(1, fit))
    shares = max(1, containers)
    return AllocationChange(
        containers=containers,
        cpus=max(CPUS_FLOOR, min(group.cpus or math.inf, _down(cpus / shares))),
        memory=max(MEMORY_FLOOR, min(group.memory or memory, memory // shares)),
        paused=group.paused,
        disk=min(group.disk, room.disk) if group.disk and room.disk else group.disk,
        jobs=group.jobs,
        priority=group.priority,
        policy=group.policy,
        shrink=group.shrink,
        force=group.force,
    )


def allocation(change: AllocationChange, version: int) -> Allocation:
    """A change as the allocation of that version."""
    return Allocation(version=version, **{name: getattr(change, name) for name in change.__struct_fields__})


def first_allocation(ceiling: Ceiling, machine: Machine | None = None) -> Allocation:
    """All that the volunteer allows, in equal containers."""
    return allocation(given(NO_GROUP.change, within(ceiling, machine)), 1)


def change_of(allocation: Allocation) -> AllocationChange:
    """An allocation as the change that makes it: what an admin edits part by part."""
    return AllocationChange(**{name: getattr(allocation, name) for name in AllocationChange.__struct_fields__})


def in_words(change: AllocationChange | GroupChange) -> str:
    """What is given, as the audit log tells it."""
    containers = "as many containers as fit" if change.containers is None else f"{change.containers} containers"
    each = [f"{change.cpus:g} CPUs"] if change.cpus is not None else []
    each += [_mib(change.memory)] if change.memory is not None else []
    said = [f"{containers} of {' and '.join(each)}" if each else containers]
    said += [f"{change.share:g} of the ceiling"] if isinstance(change, GroupChange) and change.share != 1 else []
    said += [f"{_mib(change.disk)} of disk"] if change.disk else []
    said += [f"jobs {', '.join(change.jobs)}"] if change.jobs else []
    said += [f"priority {change.priority}"] if change.priority != "normal" else []
    said += [f"CPU divided {change.policy}"] if change.policy != "fixed" else []
    said += ["fewer containers requeue"] if change.shrink == "requeue" else []
    said += ["memory forced"] if change.force else []
    return ", ".join([*said, "paused"] if change.paused else said)
