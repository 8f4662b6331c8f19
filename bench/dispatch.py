"""Chunks a second through HTTP, store and verification: a real master and mongod, simulated clients that compute
nothing. Counted are accepted chunks, not replicas. Of the others: tasks that do nothing and whose results came back."""

import time
from collections.abc import Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench import simulated
from bench.installation import Installation, installed
from bench.peers.process import measured
from bench.rows import Row, row
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import JobView

BATCHES = (1, 10, 100)
QUORUMS = (1, 2)
SECONDS = 6.0
WARM_UP_S = 1.5


def rows(runs: int, peers: Sequence[str] = ()) -> list[Row]:
    """Every quorum and batch size, `runs` times each, on one master; then the peers."""
    found = []
    with installed() as installation:
        simulated.register_image(installation)
        for quorum in QUORUMS:
            for batch in BATCHES:
                rates = [rate(installation, quorum, batch) for _ in range(runs)]
                found.append(row("dockercomp", f"quorum {quorum}, batch {batch}", "chunks_per_s", "chunks/s", rates))
        print_phases(installation.admin())
    return found + [each for peer in peers for each in peer_rows(peer, runs)]


def rate(installation: Installation, quorum: int, batch: int) -> float:
    """Accepted chunks a second over SECONDS, after a warm-up."""
    admin = installation.admin()
    job = simulated.submit(admin, 10**9, quorum)
    with simulated.clients(installation, batch):
        simulated.wait_accepted(admin, job, batch)
        time.sleep(WARM_UP_S)
        begun, first = time.perf_counter(), simulated.accepted(admin, job)
        time.sleep(SECONDS)
        last, ended = simulated.accepted(admin, job), time.perf_counter()
    admin.call("job_cancel", JobView, job=job)
    return (last - first) / (ended - begun)


def peer_rows(peer: str, runs: int) -> list[Row]:
    """The peer's row; none where it is missing, which is said."""
    rates = [measured(peer, lambda ready: ready.call("dispatch", seconds=SECONDS)) for _ in range(runs)]
    found = [rate for rate in rates if rate is not None]
    return [row(peer, "no verification", "chunks_per_s", "chunks/s", found)] if found else []


def print_phases(admin: Connection) -> None:
    """Where a sync's time goes, from the master's own metrics (of the process that answers)."""
    sums: dict[str, Any] = {}
    for family in text_string_to_metric_families(admin.request("metrics").text):
        if family.name == "dockercomp_sync_phase_seconds":
            for sample in family.samples:
                entry = sums.setdefault(sample.labels["phase"], [0.0, 0.0])
                entry[sample.name.endswith("_count")] += sample.value if sample.name.endswith(("_sum", "_count")) else 0
    print("phase of a sync           mean ms   share")
    total = sum(entry[0] for entry in sums.values()) or 1
    for phase, (seconds, count) in sorted(sums.items(), key=lambda item: -item[1][0]):
        print(f"{phase:<24}{1000 * seconds / max(count, 1):>9.2f}{seconds / total:>8.0%}")
