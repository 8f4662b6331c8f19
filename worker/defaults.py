"""What is lent where the volunteer wrote nothing: all of the machine but what keeps it pleasant to its owner. Pure.

Our containers together may weigh as much as all of the owner's programs (docs/cpu.md), so weights alone do not keep a
busy machine responsive: what is left free does. CPUs are counted in cores, memory in bytes.
"""

import math
from dataclasses import dataclass

MIB, GIB = 2**20, 2**30

CONTAINER_MEMORY = 512 * MIB
"""Memory a container should have."""
HEADROOM_SHARE = 0.25
"""Of the cores, left to the owner's programs: a core at most, and so 1.5 of two cores are lent, and 7 of eight."""
LEFT_MEMORY = GIB
"""Left to the owner, where a quarter of the memory is more than what would remain."""
LEAST_SHARE = 0.25
"""Of the cores, lent however busy the machine is: DC_WHEN_IDLE is for those who want less."""
LEAST_MEMORY = 64 * MIB
SMALLEST_CPUS = 0.05
"""Of one container; the kernel's quota does not divide finer."""
SMALLEST_MEMORY = 16 * MIB
"""Of one container; Docker takes no less than 6 MiB, and a shell with a program needs more."""


@dataclass(frozen=True)
class Others:
    """What else uses this machine."""

    cpus: float = 0.0
    """That other workers here may use because their volunteers said so."""
    memory: int = 0
    sharers: int = 0
    """Other workers that divide what is left with us, as their volunteers said nothing."""
    load: int = 0
    """Cores that programs other than workers' keep busy for minutes."""


NOBODY = Others()


def cpus(cores: int, others: Others = NOBODY) -> float:
    """Cores to lend, in steps of a twentieth: those of the machine but a headroom and what others keep busy."""
    lent = cores - min(1.0, cores * HEADROOM_SHARE)
    left = max(lent - others.cpus - others.load, cores * LEAST_SHARE)
    return max(SMALLEST_CPUS, math.floor(left / (1 + others.sharers) / SMALLEST_CPUS + 1e-9) * SMALLEST_CPUS)


def memory(size: int, others: Others = NOBODY) -> int:
    """Bytes to lend: half of the memory, and less where a GiB would not be left."""
    lent = min(size // 2, max(size - LEFT_MEMORY, size // 4))
    left = max(lent - others.memory, size // 8)
    return max(min(LEAST_MEMORY, size), left // (1 + others.sharers))


def containers(cpus: float, memory: int) -> int:
    """One a core (or what is left of one), while each has half a GiB."""
    return max(1, min(math.ceil(cpus - 1e-9), memory // CONTAINER_MEMORY))


def most_containers(cpus: float, memory: int) -> int:
    """More could not each have the least that a container needs."""
    return max(1, min(int(cpus / SMALLEST_CPUS + 1e-9), memory // SMALLEST_MEMORY))


def sentence(cores: int, others: Others = NOBODY) -> str:
    """Why the CPUs are as many as they are."""
    left = f"{min(1.0, cores * HEADROOM_SHARE):g} of {_cores(cores)} stays free for you"
    reasons = []
    if others.load:
        reasons.append(f"other programs keep {others.load} busy")
    if others.cpus:
        reasons.append(f"{others.cpus:g} are another worker's")
    if others.sharers:
        reasons.append(f"the rest is divided among {1 + others.sharers} workers")
    return ", ".join([left, *reasons]) + " (DC_CPUS says otherwise)."


def _cores(number: int) -> str:
    return "1 core" if number == 1 else f"{number} cores"
