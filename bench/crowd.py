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
    EnrolRequest,
    Machine,
    PartReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.transport import Connection
from server.enrolment import Enrolment
from server.wiring import open_store

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
    clients = _enrolled(installation, count)
    process = context.Process(target=_live, args=(installation.url, clients, ready, stop))
    process.start()
    try:
        if not ready.wait(_READY_S):
            raise RuntimeError(f"{count} simulated clients did not all call within {_READY_S} s")
        yield
    finally:
        stop.set()
        process.join(30)


def _enrolled(installation: Installation, count: int) -> list[_Client]:
    """New clients, made by the master's own duty: its HTTP route lets no address bring a thousand machines a minute."""
    token = installation.enrolment_token()
    with open_store(installation.settings) as store:
        enrolment = Enrolment(store, "")
        asked = [
            EnrolRequest(token=token, machine=_MACHINE, ceiling=_CEILING, request=secrets.token_hex(8))
            for _ in range(count)
        ]
        answers = [enrolment.enrol(request, "192.0.2.1") for request in asked]
    return [_Client(answer.client, answer.secret) for answer in answers]


def _live(url: str, clients: list[_Client], ready: Any, stop: Any) -> None:
    """Call for all of them until told to stop; `ready` is set once each has called."""
    local = threading.local()

    def connection() -> Connection:
        if not hasattr(local, "connection"):
            local.connection = Connection(url)
        found: Connection = local.connection
        return found

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
        list(threads.map(call, range(len(clients))))
        ready.set()
        while not stop.is_set():
            with lock:
                late = []
                while due and due[0][0] <= time.monotonic():
                    late.append(heapq.heappop(due)[1])
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
