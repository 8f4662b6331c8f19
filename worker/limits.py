"""How much of a machine dockerComp may use: the volunteer's ceiling, and what an allocation becomes under it. Pure.

The ceiling is law: an allocation is clipped by it here, on the volunteer's side, whatever the master says. Sizes in
bytes, CPUs in cores.
"""

from dataclasses import dataclass
from typing import Literal

from dockercomp.protocol.messages import Allocation, Ceiling
from dockercomp.protocol.orders import ResourcesSpec

from .consent import LOCKED, Consent
from .schedule import Hours
from .tasks import Size

Unlimited = Literal["refuse", "warn"]
MIB = 2**20
CONTAINER_MEMORY = 512 * MIB
"""Memory a container should have when the volunteer gives no number of containers."""

SMALLEST_CPUS = 0.05
SMALLEST_MEMORY = 16 * MIB
ROUNDING = 0.001
"""CPUs; a cut as small as this comes from dividing and is not worth a sentence."""


class TooSmall(ValueError):
    """A job does not fit into what its containers may have here; the message is for the scientist."""


@dataclass(frozen=True)
class Wishes:
    """What the volunteer wrote in `configuration`; None where nothing was written."""

    containers: int | None = None
    cpus: float | None = None
    memory: int | None = None
    disk: int | None = None
    network_per_day: int | None = None
    hours: Hours | None = None
    idle_s: float | None = None
    """Seconds for which nobody else must have used the machine; None: used or not."""
    on_battery: bool = True
    unlimited: Unlimited = "refuse"
    """What to do where the engine does not enforce limits."""
    consent: Consent = LOCKED


def ceiling(wishes: Wishes, cores: int, memory: int) -> Ceiling:
    """The most that may be used of a machine with `cores` and `memory`, never more than the machine has.

    Not said otherwise: all of the cores, half of the memory, and a container a core while each has 512 MiB.
    """
    cpus = min(wishes.cpus or float(cores), float(cores))
    lent = min(wishes.memory or memory // 2, memory)
    containers = wishes.containers or max(1, min(int(cpus), lent // CONTAINER_MEMORY))
    return Ceiling(
        containers=containers,
        cpus=cpus,
        memory=lent,
        disk=wishes.disk or 0,
        network_per_day=wishes.network_per_day or 0,
        allows=list[str](wishes.consent.granted),
    )


def clip(wanted: Allocation, most: Ceiling) -> tuple[Allocation, str]:
    """The part of an allocation that the ceiling allows, and a sentence on what was cut (empty if nothing was)."""
    containers = min(wanted.containers, most.containers)
    share = max(1, containers)
    cpus = min(wanted.cpus, most.cpus / share)
    memory = min(wanted.memory, most.memory // share)
    cuts = []
    if containers < wanted.containers:
        cuts.append(f"{containers} of {wanted.containers} containers")
    if cpus < wanted.cpus - ROUNDING:
        cuts.append(f"{cpus:g} of {wanted.cpus:g} CPUs each")
    if memory < wanted.memory:
        cuts.append(f"{memory // MIB} of {wanted.memory // MIB} MiB each")
    note = f"The volunteer's ceiling allows {', '.join(cuts)}." if cuts else ""
    allowed = Allocation(
        version=wanted.version,
        containers=containers,
        cpus=max(cpus, SMALLEST_CPUS),
        memory=max(memory, SMALLEST_MEMORY),
        paused=wanted.paused,
    )
    return allowed, note


def container_size(allowed: Allocation, most: Ceiling, need: ResourcesSpec) -> Size:
    """What one container of a job gets: the allocation, its scratch taken from the ceiling too since it is memory.

    Raises TooSmall where less than the job's memory would be left.
    """
    room = most.memory // max(1, allowed.containers) - need.disk
    memory = min(allowed.memory, room)
    if memory < need.memory:
        raise TooSmall(
            f"needs {_mib(need.memory)} of memory and {_mib(need.disk)} of scratch a container, but here a container"
            f" may have {_mib(min(allowed.memory, most.memory // max(1, allowed.containers)))};"
            " fewer containers, or more DC_MEMORY on the volunteer's side, would make room"
        )
    return Size(cpus=allowed.cpus, memory=memory, scratch=need.disk)


def _mib(size: int) -> str:
    return f"{size / MIB:g} MiB"
