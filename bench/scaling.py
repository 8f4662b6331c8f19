"""How time falls with workers, and what a job's size costs.

Real workers with real containers whose chunks sleep: what is left of two cores is enough for sixty-four of them. The
clock starts once every container runs, and stops a fixed number of accepted chunks later. Then jobs of 10^5 and 10^9
chunks, with simulated clients.
"""

import time
from collections import defaultdict
from collections.abc import Sequence

from bench import curve, simulated, sleeping
from bench.installation import Installation, installed
from bench.rows import Measured, Row, row
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import JobView

WORKERS = (1, 2, 4, 8)
CONTAINERS = 8
"""Of each worker."""
CHUNK_S = 1.0
CHUNKS = 960
"""Accepted chunks that are timed."""
HUGE, LARGE = 10**9, 10**5
_BATCH = 100
_START_S = 300


def rows(runs: int, peers: Sequence[str] = ()) -> Measured:
    """Time and efficiency for each number of workers, and the cost of very many chunks. There are no peers."""
    with installed() as installation:
        installation.push_image()
        found = _curve(installation, runs)
    drawn = curve.files(f"{CHUNKS} chunks of {CHUNK_S:g} s", points(found))
    with installed() as installation:
        simulated.register_image(installation)
        return Measured(found + _many_chunks(installation, runs), drawn)


# --- workers -------------------------------------------------------------------------------------------------------


def _curve(installation: Installation, runs: int) -> list[Row]:
    walls: dict[int, list[float]] = defaultdict(list)
    starts: dict[int, list[float]] = defaultdict(list)
    for _ in range(runs):
        for workers in WORKERS:
            while len(installation.workers) < workers:
                installation.add_worker(containers=CONTAINERS, cpus=CONTAINERS / 4, memory_mib=64 * CONTAINERS)
            started, wall = _sleep(installation, workers * CONTAINERS)
            starts[workers].append(started)
            walls[workers].append(wall)
            print(
                f"{workers} workers: all containers after {started:.1f} s, {CHUNKS} chunks in {wall:.2f} s", flush=True
            )
        installation.stop_workers()
    found = []
    for workers in WORKERS:
        variant, ideal = _named(workers), CHUNKS * CHUNK_S / (workers * CONTAINERS)
        found += [
            row("dockercomp", variant, "wall_s", "s", walls[workers]),
            row("dockercomp", variant, "efficiency", "", [ideal / wall for wall in walls[workers]]),
            row("dockercomp", variant, "all_started_s", "s", starts[workers]),
        ]
    return found


def points(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Workers and seconds, of the rows."""
    walls = {found.variant: found.median for found in rows if found.metric == "wall_s"}
    return [(workers, walls[_named(workers)]) for workers in WORKERS]


def _named(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def _sleep(installation: Installation, containers: int) -> tuple[float, float]:
    """Seconds until so many containers ran, and from then on until CHUNKS more chunks were accepted."""
    with installation.client() as client:
        begun = time.perf_counter()
        job = sleeping.submit(client, CHUNK_S)
        try:
            started = sleeping.wait_running(installation, containers) - begun
            admin = installation.admin()
            first = simulated.accepted(admin, job.id)
            first_at = simulated.wait_accepted(admin, job.id, first + 1)
            first = simulated.accepted(admin, job.id)
            return started, simulated.wait_accepted(admin, job.id, first + CHUNKS) - first_at
        finally:
            job.cancel()


# --- chunks --------------------------------------------------------------------------------------------------------


def _many_chunks(installation: Installation, runs: int) -> list[Row]:
    admin = installation.admin()
    submits: list[float] = []
    costs: dict[int, list[float]] = defaultdict(list)
    for _ in range(runs):
        for chunks in (LARGE, HUGE):
            submitted, cost = _first_chunks(installation, admin, chunks)
            costs[chunks].append(cost)
            if chunks == HUGE:
                submits.append(submitted)
    return [
        row("dockercomp", "submit 10^9 chunks", "submit_s", "s", submits),
        row("dockercomp", "10^5", "us_per_chunk", "us", costs[LARGE]),
        row("dockercomp", "first 10^5 of 10^9", "us_per_chunk", "us", costs[HUGE]),
    ]


def _first_chunks(installation: Installation, admin: Connection, chunks: int) -> tuple[float, float]:
    """Seconds to submit, and microseconds a chunk until LARGE are accepted."""
    begun = time.perf_counter()
    job = simulated.submit(admin, chunks, quorum=1)
    submitted = time.perf_counter() - begun
    with simulated.clients(installation, _BATCH):
        first_at = simulated.wait_accepted(admin, job, _BATCH)
        first = simulated.accepted(admin, job)
        ended = simulated.wait_accepted(admin, job, LARGE)
    admin.call("job_cancel", JobView, job=job)
    return submitted, (ended - first_at) * 1e6 / (LARGE - first)
