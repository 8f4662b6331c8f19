"""Which CPUs share a core, a NUMA node or a kind, as Linux tells in /sys; of what it does not tell there is one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .cpu_list import parse

SYS = Path("/sys")


@dataclass(frozen=True)
class Place:
    """Where a CPU sits. Numbers are only good for telling whether two are the same."""

    core: int
    """The lowest CPU of its core: threads of one core (siblings) share its units of arithmetic."""
    node: int
    """Its NUMA node; where none is told, its socket."""
    kind: int = 0
    """0 to 4: how fast a kind of core it is beside the fastest of the machine, which is 4 (or 0, all being alike)."""


Topology = Mapping[int, Place]
"""Each CPU that may be used, by its number."""


def read(root: Path = SYS) -> Topology:
    """The CPUs that are online; empty where the machine does not say, as on no Linux."""
    system = root / "devices" / "system"
    online = _list(system / "cpu" / "online") or frozenset()
    nodes = _nodes(system / "node")
    kinds = _kinds(root, online)
    found = {}
    for cpu in sorted(online):
        told = system / "cpu" / f"cpu{cpu}" / "topology"
        siblings = _list(told / "core_cpus_list") or _list(told / "thread_siblings_list") or frozenset()
        socket = _number(told / "physical_package_id") or 0
        core = min((siblings & online) | {cpu})
        found[cpu] = Place(core, nodes.get(cpu, socket), kinds.get(cpu, 0))
    return found


def of_engine(cpus: int, root: Path = SYS) -> Topology:
    """The CPUs of an engine that says it has so many; empty where it cannot be told which those are: it may run in a
    virtual machine or on another host, and then no container can be pinned."""
    machine = read(root)
    for usable in _allowed(root, frozenset(machine)):
        if len(usable) == cpus:
            return {cpu: place for cpu, place in machine.items() if cpu in usable}
    return {}


def _allowed(root: Path, online: frozenset[int]) -> list[frozenset[int]]:
    """What an engine of this host may use: by the control groups that containers are made in, else as we may."""
    found = [online]
    for name in (
        "cpuset/docker/cpuset.effective_cpus",
        "cpuset/docker/cpuset.cpus",
        "system.slice/cpuset.cpus.effective",
        "cpuset/cpuset.effective_cpus",
        "cpuset.cpus.effective",
    ):
        if told := _list(root / "fs" / "cgroup" / name):
            found.insert(-1, told & online)
            break
    if root == SYS and hasattr(os, "sched_getaffinity"):
        found.append(frozenset(os.sched_getaffinity(0)) & online)
    return found


def _nodes(folder: Path) -> dict[int, int]:
    found: dict[int, int] = {}
    for node in folder.glob("node[0-9]*"):
        number = node.name.removeprefix("node")
        if number.isdigit():
            found.update(dict.fromkeys(_list(node / "cpulist") or (), int(number)))
    return found


def _kinds(root: Path, online: frozenset[int]) -> dict[int, int]:
    """Hybrid x86 lists its small cores; Arm, and newer x86, say how much each can do. Cores of one kind differ by a few
    per cent, so that only quarters count."""
    small = _list(root / "devices" / "cpu_atom" / "cpus")
    if small:
        return {cpu: 2 if cpu in small else 4 for cpu in online}
    told = {cpu: _number(root / "devices" / "system" / "cpu" / f"cpu{cpu}" / "cpu_capacity") or 0 for cpu in online}
    most = max(told.values(), default=0)
    return {cpu: round(4 * capacity / most) for cpu, capacity in told.items()} if most else {}


def _list(path: Path) -> frozenset[int] | None:
    try:
        return parse(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _number(path: Path) -> int | None:
    try:
        return max(0, int(path.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return None
