"""Which CPUs a container is pinned to. `placed` is a pure rule; `Pins` keeps what is pinned and claims it.

Only whole CPUs are pinned; who has a fraction floats over what is left. One NUMA node is taken before two, one kind of
core before a mixture, cores of one's own before the second thread of a core. A container keeps the CPUs that it has.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from .beside import Claims, sees_engine
from .cpu_list import written
from .topology import Topology, of_engine

Cpus = frozenset[int]

_SLACK = 0.1
"""CPUs that a share of two or more may lack to whole ones and still be pinned: idle containers keep as little."""
_TOGETHER = -1
"""In place of a slot: what all containers have together."""


def whole(cpus: float) -> int:
    """How many CPUs a share is pinned to; 0: none, it floats."""
    count = math.ceil(cpus - 1e-6)
    return count if count - cpus <= (_SLACK if count > 1 else 0.0) + 1e-3 else 0


def placed(
    wanted: Mapping[int, int], spare: int, topology: Topology, free: Cpus, held: Mapping[int, Cpus]
) -> dict[int, Cpus]:
    """CPUs of `free` for each slot that wants some, no CPU twice, so that `spare` are left; a slot is left out where
    there are too few. `held` is what slots had: who needs as many keeps them, who needs others keeps what it can."""
    keeping = [slot for slot, count in sorted(wanted.items()) if len(held.get(slot, ())) == count]
    others = sorted(wanted.keys() - set(keeping), key=lambda slot: (-wanted[slot], slot))
    crowded = sum(wanted.values()) > len({topology[cpu].core for cpu in free})
    found: dict[int, Cpus] = {}
    left = free
    for slot in [*keeping, *others]:
        count, had = wanted[slot], held.get(slot, frozenset())
        if count > len(left) - spare:
            continue
        taken = had if len(had) == count and had <= left else _chosen(count, topology, left, had, crowded)
        found[slot] = taken
        left -= taken
    return found


def _chosen(count: int, topology: Topology, left: Cpus, had: Cpus, crowded: bool) -> Cpus:
    """So many of the CPUs left: from the closest group that has them, else from as few nodes as can be."""
    taken = _taken(topology, left)
    alike = _groups(left, lambda cpu: (topology[cpu].node, topology[cpu].kind))
    near = _groups(left, lambda cpu: (topology[cpu].node,))
    for groups in (alike, near):
        fits = [cpus for cpus in groups if len(cpus) >= count]
        if fits:
            best = min(fits, key=lambda cpus: _unfit(cpus, count, topology, had, crowded))
            return frozenset(_ordered(best, topology, taken, had, count if crowded else 0)[:count])
    found: list[int] = []
    for cpus in sorted(near, key=lambda cpus: (-len(had & set(cpus)), -len(cpus), cpus)):
        more = count - len(found)
        found += _ordered(cpus, topology, taken, had, more if crowded else 0)[:more]
    return frozenset(found)


def _groups(cpus: Cpus, key: Callable[[int], tuple[int, ...]]) -> list[list[int]]:
    found: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for cpu in sorted(cpus):
        found[key(cpu)].append(cpu)
    return list(found.values())


def _unfit(cpus: Sequence[int], count: int, topology: Topology, had: Cpus, crowded: bool) -> tuple[float, ...]:
    """What speaks against a group, the gravest first: that others' CPUs would have to be used instead of one's own,
    siblings, slower cores, a large group broken up."""
    cores = len({topology[cpu].core for cpu in cpus})
    siblings = 0 if crowded else max(0, count - cores)
    kind = sum(topology[cpu].kind for cpu in cpus) / len(cpus)
    return (-len(had & set(cpus)), siblings, -kind, len(cpus), cpus[0])


def _taken(topology: Topology, left: Cpus) -> dict[int, int]:
    """How many CPUs of each core are taken."""
    taken: dict[int, int] = defaultdict(int)
    for cpu, place in topology.items():
        taken[place.core] += cpu not in left
    return taken


def _ordered(cpus: Sequence[int], topology: Topology, taken: Mapping[int, int], had: Cpus, packed: int) -> list[int]:
    """The best CPUs first. Spread: a thread of each core that nobody uses, then their siblings, then the siblings of
    others. `packed`, as there are not enough cores for all: whole cores that make up that many CPUs, then what remains,
    first of cores that are broken up already; so programs share a core with themselves."""
    cores: dict[int, list[int]] = defaultdict(list)
    for cpu in sorted(cpus, key=lambda cpu: (cpu not in had, cpu)):
        cores[topology[cpu].core].append(cpu)
    order = sorted(
        cores, key=lambda core: (taken[core] > 0, -topology[cores[core][0]].kind, cores[core][0] not in had, core)
    )
    if not packed:
        rank = {cpu: (taken[core] > 0, place) for core in order for place, cpu in enumerate(cores[core])}
        return sorted((cpu for core in order for cpu in cores[core]), key=lambda cpu: (cpu not in had, *rank[cpu]))
    found: list[int] = []
    rest: list[int] = []
    for core in order:
        fits = not taken[core] and len(found) + len(cores[core]) <= packed
        (found if fits else rest).extend(cores[core])
    return found + sorted(rest, key=lambda cpu: (not taken[topology[cpu].core], cpu))


class Pins:
    """What the containers of this worker are pinned to. For one thread."""

    def __init__(self, topology: Topology, claims: Claims) -> None:
        self._topology, self._claims = topology, claims
        self._held: dict[int, Cpus] = {}
        self.short = False
        """Fewer are pinned than want to be, as other workers have CPUs: it is worth trying again."""

    @classmethod
    def of_engine(cls, address: str, cpus: int) -> "Pins | None":
        """For an engine that says it has so many CPUs; None where nothing can be pinned, or is worth it."""
        topology = of_engine(cpus) if cpus > 1 and sees_engine(address) else {}
        return cls(topology, Claims()) if topology else None

    def sets(self, shares: Mapping[int, float], resting: Iterable[int]) -> dict[int, str]:
        """The cpuset of each slot, by its share; empty: any CPU. `resting` slots are never pinned."""
        resting = frozenset(resting)
        active = {slot: cpus for slot, cpus in shares.items() if slot not in resting}
        wanted = {slot: count for slot, cpus in active.items() if (count := whole(cpus))}
        floating = sum(cpus for slot, cpus in active.items() if slot not in wanted)
        pinned = self._claimed(wanted, math.ceil(floating - 1e-6))
        self._keep(pinned)
        self.short = len(pinned) < len(wanted)
        rest = frozenset(self._topology) - _union(pinned)
        found = {slot: written(cpus) for slot, cpus in pinned.items()}
        apart = written(rest) if pinned and len(rest) >= max(1, math.ceil(floating - 1e-6)) else ""
        return {slot: found.get(slot, "" if slot in resting else apart) for slot in shares}

    def together(self, count: int) -> str | None:
        """One cpuset of so many CPUs for all containers; None where there are not so many that nobody else has, and
        then what was pinned stays."""
        found = self._claimed({_TOGETHER: count}, 0)
        if not found:
            self._claims.release(self._claims.held - _union(self._held))
            return None
        self._keep(found)
        return written(found[_TOGETHER])

    def none(self) -> None:
        """Nothing is pinned any more."""
        self._keep({})

    def _claimed(self, wanted: Mapping[int, int], spare: int) -> dict[int, Cpus]:
        """What of it can be had: what another worker has is not used."""
        free = frozenset(self._topology)
        while True:
            found = placed(wanted, spare, self._topology, free, self._held)
            foreign = _union(found) - self._claims.claim(_union(found))
            if not foreign:
                return found
            free -= foreign

    def _keep(self, found: dict[int, Cpus]) -> None:
        """What is not used any more is given back."""
        self._claims.release(self._claims.held - _union(found))
        self._held, self.short = found, False


def _union(sets: Mapping[int, Cpus]) -> Cpus:
    return frozenset[int]().union(*sets.values())
