"""From an admin's click to the value verified in the cgroup.

One real worker, with real containers whose chunks sleep, among simulated clients (bench/crowd.py), on a master as it is
installed. A click is the PUT that the dashboard's form and the command line make. Two ends are timed: when the cgroup
file of every container holds the new value, which is read here, and when the API says verified, as the page shows it.
The client's page is open, and the worker has called since it is; cold: nobody has it open. Beside it `docker update` by
hand on the machine itself.
"""

import random
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count

from bench import sleeping
from bench.crowd import crowd
from bench.installation import Installation, docker_host, installed
from bench.rows import Row, row
from bench.watching import watched
from dockercomp.machine.home import instance_label
from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import AllocationChange, ChunkPage, ClientView
from worker.cgroup import CgroupFiles, cgroup_paths
from worker.engine import Engine

CLIENTS = (20, 1000)
CLICKS, COLD_CLICKS = 20, 5
"""Of one run."""
CHUNK_S = 20.0
"""Long beside a click: what ends early was ended by it."""
_CONTAINERS = 2
COLD_S, QUICK_COLD_S = 12.0, 0.5
"""After the first a page that was closed is no more taken as open."""
_LOOK_S, _ASK_S = 0.005, 0.05
"""Between two looks at the cgroups, and two questions to the API."""
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Click:
    """Seconds until each."""

    cgroup_s: float
    verified_s: float


def rows(runs: int, peers: Sequence[str] = (), clients: Sequence[int] = CLIENTS, quick: bool = False) -> list[Row]:
    """95th percentiles for each size of the crowd; and what the clicks cost. The peer is always measured."""
    clicks, cold, closed_s = (2, 1, QUICK_COLD_S) if quick else (CLICKS, COLD_CLICKS, COLD_S)
    found: list[Row] = []
    for crowd_of in clients:
        with installed() as installation:
            installation.push_image()
            installation.add_worker(containers=_CONTAINERS, cpus=1.5, memory_mib=256)
            with crowd(installation, crowd_of):
                found += _with(installation, f"{crowd_of} clients", runs, clicks, cold, closed_s, by_hand=not found)
    return found


def _with(
    installation: Installation, variant: str, runs: int, clicks: int, cold: int, closed_s: float, *, by_hand: bool
) -> list[Row]:
    with installation.client() as client:
        job = sleeping.submit(client, CHUNK_S)
        try:
            sleeping.wait_running(installation, _CONTAINERS)
            bench = _Bench(installation)
            before = bench.containers()
            warm = [bench.clicks(clicks) for _ in range(runs)]
            chilled = [bench.clicks(cold, closed_s) for _ in range(runs)]
            restarts = len(before.keys() ^ bench.containers().keys())
            lost = _lost(installation.admin(), job.id)
            hand = [bench.by_hand() for _ in range(max(3, runs))] if by_hand else []
        finally:
            job.cancel()
    measured = [
        row(
            "dockercomp", variant, "verified_p95_s", "s", [percentile(95, (c.verified_s for c in run)) for run in warm]
        ),
        row("dockercomp", variant, "cgroup_p95_s", "s", [percentile(95, (c.cgroup_s for c in run)) for run in warm]),
        row(
            "dockercomp", variant, "verified_p50_s", "s", [percentile(50, (c.verified_s for c in run)) for run in warm]
        ),
        row("dockercomp", variant, "cold_p95_s", "s", [percentile(95, (c.verified_s for c in run)) for run in chilled]),
        row("dockercomp", variant, "cold_p50_s", "s", [percentile(50, (c.verified_s for c in run)) for run in chilled]),
        row("dockercomp", variant, "restarts", "containers", [float(restarts)]),
        row("dockercomp", variant, "lost_chunks", "chunks", [float(lost)]),
    ]
    return measured + ([row("docker-update", "by hand", "cgroup_s", "s", hand)] if hand else [])


class _Bench:
    """The real worker's client, and its containers' cgroups."""

    def __init__(self, installation: Installation) -> None:
        self._installation, self._admin = installation, installation.admin()
        self._client = self._find()
        self._engine = Engine(instance_label(installation.workers[0]), docker_host() or None)
        self._values = (0.2 + 0.01 * number % 0.3 for number in count(1))

    def _find(self) -> str:
        with self._installation.client() as client:
            return next(each.id for each in client.clients() if each.containers)

    def view(self) -> ClientView:
        return self._admin.call("client", ClientView, client=self._client)

    def containers(self) -> dict[str, CgroupFiles]:
        """Their cgroups, by id."""
        return {each.id: cgroup_paths(self._engine.pid(each.id)) for each in self.view().containers}

    def clicks(self, number: int, closed_s: float = 0.0) -> list[Click]:
        """So many changes, at random moments of the worker's pace: with its page open, or not for so long."""
        found = []
        with watched(self._installation, f"/clients/{self._client}") if not closed_s else nullcontext():
            opened = time.perf_counter()
            if not closed_s:  # until the worker has heard that somebody looks
                _until(lambda: self.view().seen_s_ago < time.perf_counter() - opened, _ASK_S)
            for _ in range(number):
                time.sleep(closed_s or random.uniform(0.5, 2.0))
                found.append(self._click())
        print(", ".join(f"{click.verified_s:.2f}" for click in found), flush=True)
        return found

    def _click(self) -> Click:
        now, files, cpus = self.view().allocation, self.containers().values(), round(next(self._values), 3)
        change = AllocationChange(containers=now.containers, cpus=cpus, memory=now.memory)
        begun = time.perf_counter()
        headers = {"If-Match": f'"{now.version}"'}
        given = self._admin.call("client_allocate", Allocation, change, client=self._client, headers=headers)
        in_force = _until(lambda: all(abs(each.limits()[0] - cpus) < 1e-6 for each in files), _LOOK_S) - begun
        verified = _until(lambda: self._verified(given.version), _ASK_S) - begun
        return Click(in_force, verified)

    def _verified(self, version: int) -> bool:
        progress = self.view().progress
        return progress is not None and progress.version == version and progress.verified_s_ago is not None

    def by_hand(self) -> float:
        """Seconds of one `docker update` of one container until its cgroup has the value."""
        (name, files), *_ = self.containers().items()
        wanted = round(next(self._values), 3)
        host = ["--host", docker_host()] if docker_host() else []
        begun = time.perf_counter()
        quota = ["--cpu-period", "100000", "--cpu-quota", str(round(wanted * 100_000))]
        subprocess.run(["docker", *host, "update", *quota, name], stdout=subprocess.DEVNULL, check=True)
        return _until(lambda: abs(files.limits()[0] - wanted) < 1e-6, _LOOK_S) - begun


def _until(reached: Callable[[], bool], every_s: float) -> float:
    """When that was so, on the clock of time.perf_counter."""
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"a change was not in force within {_PATIENCE_S:g} s")
        time.sleep(every_s)
    return time.perf_counter()


def percentile(share: float, values: Iterable[float]) -> float:
    """By the nearest rank: of 20 values the 95th percentile is the 19th."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share) // 100) - 1)]


def _lost(admin: Connection, job: str) -> int:
    """Runs of chunks that came to nothing."""
    lost, cursor = 0, ""
    page: ChunkPage | None = None
    while page is None or page.next:
        page = admin.call("job_chunks", ChunkPage, job=job, params={"cursor": cursor} if cursor else None)
        cursor = page.next or ""
        lost += sum(replica.state in ("failed", "gone") for chunk in page.chunks for replica in chunk.replicas)
    return lost
