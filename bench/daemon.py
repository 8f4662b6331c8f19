"""What the worker's daemon itself takes of its machine: CPU, as a share of one core, and memory, with eight containers.

Their chunks sleep, so what is measured is the daemon's own: syncs, looks at cgroups, results. The engine's part
(dockerd, containerd) is not in it: long chunks ask nothing of it.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench import sleeping
from bench.installation import Installation, installed
from bench.rows import Row, row
from worker import status

CONTAINERS = 8
CHUNKS_S = (30.0, 1.0)
SECONDS, QUICK_SECONDS = 30.0, 1.0
"""One measurement; a sixth of it passes first, after all containers run."""


def rows(runs: int, peers: Sequence[str] = (), quick: bool = False) -> list[Row]:
    """Of each length of a chunk. There are no peers."""
    seconds, found = QUICK_SECONDS if quick else SECONDS, list[Row]()
    with installed() as installation:
        installation.push_image()
        installation.add_worker(containers=CONTAINERS, cpus=1.0, memory_mib=64 * CONTAINERS)
        for chunk_s in CHUNKS_S:
            measured = _of(installation, chunk_s, runs, seconds)
            variant = f"{CONTAINERS} containers, chunks of {chunk_s:g} s"
            found += [
                row("dockercomp", variant, "cpu_percent", "% of a core", [cpu for cpu, _ in measured]),
                row("dockercomp", variant, "rss_mib", "MiB", [rss for _, rss in measured]),
            ]
    return found


def _of(installation: Installation, chunk_s: float, runs: int, seconds: float) -> list[tuple[float, float]]:
    """CPU in percent of a core, and MiB of memory, of each run."""
    with installation.client() as client:
        job = sleeping.submit(client, chunk_s)
        try:
            sleeping.wait_running(installation, CONTAINERS)
            time.sleep(seconds / 6)
            return [_looked_at(_daemon(installation.workers[0]), seconds) for _ in range(runs)]
        finally:
            job.cancel()


def _daemon(home: Path) -> psutil.Process:
    said = status.read(home)
    if said is None:
        raise RuntimeError("the worker has written no status")
    return psutil.Process(said.pid)


def _looked_at(daemon: psutil.Process, seconds: float) -> tuple[float, float]:
    before, begun = daemon.cpu_times(), time.perf_counter()
    time.sleep(seconds)
    after, took = daemon.cpu_times(), time.perf_counter() - begun
    used = after.user + after.system - before.user - before.system
    rss = daemon.memory_info().rss / 2**20
    print(f"{100 * used / took:.2f} % of a core, {rss:.1f} MiB", flush=True)
    return 100 * used / took, rss
