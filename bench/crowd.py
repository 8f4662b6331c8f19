"""Many simulated clients in one process: each keeps to the pace that the master names, computes nothing, and follows
what it is given at once."""

import heapq
import multiprocessing
import random
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.installation import Installation
from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.messages import (
    PROTOCOL,
    Allocation,
    AppliedAllocation,
    Ceiling,
    EnrolAnswer,
    EnrolRequest,
    Machine,
    PartReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.transport import Connection

_MACHINE = Machine(hostname="simulated", cpus=4, memory=8 << 30, disk_free=1 << 40, platform="linux/amd64")
_CEILING = Ceiling(containers=4, cpus=4, memory=4 << 30)
_THREADS = 8
_REPORTS_S = 0.05
"""After which a worker tells that it has followed an allocation."""
_AGAIN_S = 5.0
"""After a call that failed."""
_READY_S = 600


@dataclass
class _Client:
    name: str
    secret: str
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    seq: int = 0
    given: Allocation | None = None


@contextmanager
def crowd(installation: Installation, count: int) -> Iterator[None]:
    """So many clients call, once all have come."""
    context = multiprocessing.get_context("spawn")
    stop, ready = context.Event(), context.Event()
    process = context.Process(target=_live, args=(installation.url, installation.enrolment_token(), count, ready, stop))
    process.start()
    try:
        if not ready.wait(_READY_S):
            raise RuntimeError(f"{count} simulated clients did not come within {_READY_S} s")
        yield
    finally:
        stop.set()
        process.join(30)


def _live(url: str, token: str, count: int, ready: Any, stop: Any) -> None:
    local = threading.local()

    def connection() -> Connection:
        if not hasattr(local, "connection"):
            local.connection = Connection(url, token)
        found: Connection = local.connection
        return found

    def come(_: int) -> _Client:
        request = EnrolRequest(token=token, machine=_MACHINE, ceiling=_CEILING, request=secrets.token_hex(8))
        enrolled = connection().call("enrol", EnrolAnswer, request)
        return _Client(enrolled.client, enrolled.secret)

    due: list[tuple[float, int]] = []
    lock = threading.Lock()

    def call(number: int) -> None:
        try:
            pause = _sync(connection(), clients[number])
        except DockercompError:
            pause = _AGAIN_S
        with lock:
            heapq.heappush(due, (time.monotonic() + pause, number))

    with ThreadPoolExecutor(_THREADS) as threads:
        clients = list(threads.map(come, range(count)))
        now = time.monotonic()
        due += sorted((now + count / 100 * random.random(), number) for number in range(count))
        ready.set()
        while not stop.is_set():
            with lock:
                late = [heapq.heappop(due)[1] for _ in range(len(due)) if due[0][0] <= time.monotonic()]
            for number in late:
                threads.submit(call, number)
            stop.wait(0.01)


def _sync(connection: Connection, client: _Client) -> float:
    """One round trip; seconds until the next."""
    client.seq += 1
    request = SyncRequest(
        protocol=PROTOCOL,
        session=client.session,
        seq=client.seq,
        applied=_followed(client.given) if client.given else None,
        machine=_MACHINE if client.seq == 1 else None,
        ceiling=_CEILING if client.seq == 1 else None,
    )
    headers = {"Authorization": f"Bearer {client.name}.{client.secret}"}
    answer = connection.call("sync", SyncAnswer, request, headers=headers)
    changed = answer.allocation != client.given
    client.given = answer.allocation
    return _REPORTS_S if changed else answer.call_again_s * random.uniform(0.8, 1.0)


def _followed(given: Allocation) -> AppliedAllocation:
    read = [PartReport(part=part, state="verified") for part in ("containers", "cpus", "memory", "priority", "paused")]
    told = [PartReport(part=part, state="applied") for part in ("disk", "jobs", "policy")]
    return AppliedAllocation(
        version=given.version,
        containers=given.containers,
        cpus=given.cpus,
        memory=given.memory,
        verified=True,
        parts=[*read, *told],
    )
