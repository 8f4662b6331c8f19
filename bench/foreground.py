"""What the machine's owner feels: a small program of theirs beside our containers at full load, of what it takes alone.

Two kinds: a burst of work on all CPUs at once, such as a compiler's, and a program that wakes a hundred times a second
to work for 2 ms, such as an editor. Beside them two containers compute without pause: with all of the machine and with
what is lent by default, under each priority; and, for comparison, without shares of their own (each may use the whole
machine with a thread for each CPU), also at nice 19 inside of their groups.
"""

import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.control import percentile
from bench.mixes.programs import compiled
from bench.mixes.shelf import MEMORY, SCRATCH, Shelf, shelf
from bench.rows import Row, row
from worker import defaults
from worker.cgroup import cgroup_paths
from worker.container import WarmContainer
from worker.division import WEIGHTS
from worker.tasks import Size

_SOURCE = Path(__file__).with_suffix(".c")
BURST_S, BURSTS, WAKES, WAKE_WORK_S = 0.25, 3, 200, 0.002
"""Work of a burst on each CPU, and bursts whose median counts; how often the other program wakes, and its work each
time."""
CONTAINERS = 2
_LOAD_S = 3600.0
"""Work of a container's chunk: more than is waited for."""


@dataclass(frozen=True)
class Load:
    """How the containers compute: CPUs of all together, the weight of each, threads of each program."""

    cpus: float
    weight: int = WEIGHTS["normal"]
    width: float = 1.0
    nice: int = 0


def loads(cores: int) -> Mapping[str, Load]:
    """What stands beside the owner's program, by the variant's name."""
    lent, each = defaults.cpus(cores), max(1.0, cores / CONTAINERS)
    return {
        **{f"priority {name}": Load(cores, weight, each) for name, weight in WEIGHTS.items()},
        **{f"default ceiling, priority {name}": Load(lent, weight, each) for name, weight in WEIGHTS.items()},
        "no shares": Load(cores * CONTAINERS, width=cores),
        "no shares, nice 19 inside": Load(cores * CONTAINERS, width=cores, nice=19),
    }


def rows(runs: int, peers: Sequence[str] = (), quick: bool = False) -> list[Row]:
    """Times alone, and ratios to them. There are no peers."""
    less = 10 if quick else 1
    with shelf() as found:
        probe = Probe(compiled(_SOURCE, found.home / "foreground"), less)
        measured: dict[str, list[tuple[Felt, Felt]]] = defaultdict(list)
        for _ in range(runs):
            for name, load in loads(found.facts.cpus).items():
                alone = probe.felt()  # each time anew: a machine's own mood changes
                with under(found, load):
                    measured[name].append((probe.felt(), alone))
                print(f"{name}: {measured[name][-1][0]}; alone: {alone}", flush=True)
    alones = [alone for pairs in measured.values() for _, alone in pairs]
    result = [
        row("alone", "no load", "burst_s", "s", [felt.burst_s for felt in alones]),
        row("alone", "no load", "wake_p99_ms", "ms", [felt.wake_p99_ms for felt in alones]),
    ]
    for name, pairs in measured.items():
        result += [
            row("dockercomp", name, "burst_ratio", "", [with_.burst_s / without.burst_s for with_, without in pairs]),
            row("dockercomp", name, "wake_p99_ratio", "", [w.wake_p99_ms / o.wake_p99_ms for w, o in pairs]),
        ]
    return result


@dataclass(frozen=True)
class Felt:
    burst_s: float
    wake_p99_ms: float

    def __str__(self) -> str:
        return f"burst {self.burst_s:.2f} s, wake {self.wake_p99_ms:.1f} ms"


class Probe:
    """The owner's program, with work that is measured alone."""

    def __init__(self, program: Path, less: int) -> None:
        self._program, self._less = program, less
        self._rate = float(self._told("rate")[0])

    def felt(self) -> Felt:
        loops = round(self._rate * BURST_S / self._less)
        burst = median(float(self._told("burst", loops)[0]) for _ in range(BURSTS))
        wakes = map(float, self._told("wake", WAKES // self._less, round(self._rate * WAKE_WORK_S)))
        return Felt(burst, percentile(99, wakes) / 1000)

    def _told(self, *words: object) -> list[str]:
        command = [str(self._program), *map(str, words)]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()


@contextmanager
def under(found: Shelf, load: Load) -> Iterator[None]:
    """The containers compute meanwhile."""
    containers = [found.take("blackscholes") for _ in range(CONTAINERS)]
    for container in containers:
        container.resize(Size(load.cpus / CONTAINERS, MEMORY, SCRATCH, weight=load.weight, width=load.width))
    threads = [threading.Thread(target=_compute, args=(found, container), daemon=True) for container in containers]
    for thread in threads:
        thread.start()
    try:
        for container in containers:
            _busy(container)
            _renice(found, container, load.nice)
        yield
    finally:
        for container in containers:
            container.cancel()
        for thread in threads:
            thread.join()
        for container in containers:
            found.put("blackscholes", container)


def _compute(found: Shelf, container: WarmContainer) -> None:
    with suppress(RuntimeError):  # it is cancelled in the end
        found.run("blackscholes", container, _LOAD_S)


def _busy(container: WarmContainer) -> None:
    """Wait until it has used some CPU. Raises RuntimeError where it never does."""
    begun, deadline = container.reading().cpu_seconds or 0.0, time.monotonic() + 60
    while (container.reading().cpu_seconds or 0.0) < begun + 0.1:
        if time.monotonic() > deadline:
            raise RuntimeError("a container that was to load the machine does not compute")
        time.sleep(0.05)


def _renice(found: Shelf, container: WarmContainer, nice: int) -> None:
    """Each thread in its group. Only root may, and only where the group can be seen."""
    group = cgroup_paths(found.engine.pid(container.id))
    if not nice or group.cpu is None:
        return
    name = "cgroup.threads" if group.version == 2 else "tasks"
    for thread in (group.cpu / name).read_text(encoding="utf-8").split():
        os.setpriority(os.PRIO_PROCESS, int(thread), nice)
