"""Trees of /sys as machines of several kinds have them."""

from collections.abc import Sequence
from pathlib import Path

from worker.cpu_list import parse


def tree(
    root: Path,
    online: str,
    *,
    siblings: Sequence[str] = (),
    nodes: Sequence[str] | None = None,
    sockets: Sequence[int] = (),
    capacities: Sequence[int] = (),
) -> Path:
    """A folder like /sys: `siblings` a list for each core that has several threads, `nodes` each node's CPUs."""
    cpus = root / "devices/system/cpu"
    cpus.mkdir(parents=True)
    (cpus / "online").write_text(online + "\n", encoding="latin-1")
    try:
        numbers = sorted(parse(online))
    except ValueError:
        return root
    of = {cpu: text for text in siblings for cpu in parse(text)}
    for place, cpu in enumerate(numbers):
        folder = cpus / f"cpu{cpu}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology/thread_siblings_list").write_text(of.get(cpu, str(cpu)) + "\n")
        if sockets:
            (folder / "topology/physical_package_id").write_text(f"{sockets[place]}\n")
        if capacities:
            (folder / "cpu_capacity").write_text(f"{capacities[place]}\n")
    for number, text in enumerate(nodes or ()):
        folder = root / f"devices/system/node/node{number}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(text + "\n")
    (root / "devices/system/node").mkdir(exist_ok=True)
    (root / "devices/system/node/possible").write_text("0\n")
    return root


def hybrid(root: Path) -> Path:
    """Two large cores of two threads each, four small cores."""
    tree(root, "0-7", siblings=["0-1", "2-3"], nodes=["0-7"])
    for kind, cpus in (("cpu_core", "0-3"), ("cpu_atom", "4-7")):
        folder = root / "devices" / kind
        folder.mkdir()
        (folder / "cpus").write_text(cpus + "\n")
    return root
