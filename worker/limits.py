"""How much of a machine dockerComp may use: the volunteer's ceiling, and what an allocation becomes under it. Pure.

The ceiling is law: an allocation is clipped by it here, on the volunteer's side, whatever the master says. Sizes in
bytes, CPUs in cores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import structs

from dockercomp.protocol.messages import Allocation, Ceiling, Part
from dockercomp.protocol.orders import ResourcesSpec

from . import defaults
from .consent import LOCKED, Consent
from .defaults import NOBODY, SMALLEST_CPUS, SMALLEST_MEMORY, Others
from .schedule import Hours
from .tasks import Size

Unlimited = Literal["refuse", "warn"]
MIB = 2**20
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
    temperature: float | None = None
    """Degrees Celsius above which nothing is computed."""
    hook: str = ""
    """The volunteer's own program that says whether to work; a whole path."""
    unlimited: Unlimited = "refuse"
    """What to do where the engine does not enforce limits."""
    consent: Consent = LOCKED


def ceiling(wishes: Wishes, cores: int, memory: int, others: Others = NOBODY) -> Ceiling:
    """The most that may be used of a machine with `cores` and `memory`, never more than the machine has.

    What the volunteer did not say follows from the machine and from what else uses it (`defaults`).
    """
    cpus = min(wishes.cpus or defaults.cpus(cores, others), float(cores))
    lent = min(wishes.memory or defaults.memory(memory, others), memory)
    most = defaults.most_containers(cpus, lent)
    containers = min(wishes.containers or defaults.containers(cpus, lent), most)
    return Ceiling(
        containers=containers,
        cpus=cpus,
        memory=lent,
        disk=wishes.disk or 0,
        network_per_day=wishes.network_per_day or 0,
        allows=list[str](wishes.consent.granted),
    )


@dataclass(frozen=True)
class Clipped:
    """What an allocation becomes under a ceiling. `cuts` says of each part that was cut what is allowed of it, `raised`
    what is given instead of too little, in a sentence."""

    allowed: Allocation
    cuts: Mapping[Part, str] = field(default_factory=dict)
    raised: Mapping[Part, str] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """All of it, for the eye; empty where the allocation is taken as it is."""
        cut = f"The volunteer's ceiling allows {', '.join(self.cuts.values())}." if self.cuts else ""
        return " ".join(part for part in (cut, *self.raised.values()) if part)

    def why(self, part: Part) -> str:
        """What was done to one part; empty: nothing."""
        cut = f"The volunteer's ceiling allows {self.cuts[part]}." if part in self.cuts else ""
        return " ".join(each for each in (cut, self.raised.get(part, "")) if each)


def clip(wanted: Allocation, most: Ceiling) -> Clipped:
    """The part of an allocation that the ceiling allows: together its containers never get more, and each gets the
    least that a container needs, so that there are only as many as can have it."""
    containers = min(wanted.containers, most.containers, _fitting(most))
    share = max(1, containers)
    cpus = max(SMALLEST_CPUS, min(wanted.cpus, most.cpus / share))
    memory = max(SMALLEST_MEMORY, min(wanted.memory, most.memory // share))
    disk = min((size for size in (wanted.disk, most.disk) if size), default=0)
    cuts: dict[Part, str] = {}
    if containers < wanted.containers:
        cuts["containers"] = f"{containers} of {wanted.containers} containers"
    if cpus < wanted.cpus - ROUNDING:
        cuts["cpus"] = f"{cpus:.4g} of {wanted.cpus:.4g} CPUs each"
    if memory < wanted.memory:
        cuts["memory"] = f"{memory // MIB} of {wanted.memory // MIB} MiB each"
    if disk < wanted.disk:
        cuts["disk"] = f"{disk // MIB} of {wanted.disk // MIB} MiB of disk"
    raised: dict[Part, str] = {}
    if cpus > wanted.cpus:
        raised["cpus"] = f"A container gets at least {SMALLEST_CPUS:g} CPUs."
    if memory > wanted.memory:
        raised["memory"] = f"A container gets at least {SMALLEST_MEMORY // MIB} MiB."
    allowed = structs.replace(wanted, containers=containers, cpus=cpus, memory=memory, disk=disk)
    return Clipped(allowed, cuts, raised)


def _fitting(most: Ceiling) -> int:
    """Containers that can each have the least that one needs."""
    return min(int(most.cpus / SMALLEST_CPUS + 1e-9), most.memory // SMALLEST_MEMORY)


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
