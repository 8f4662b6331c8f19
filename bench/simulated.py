"""Clients that compute nothing: processes that report their leases as done at once, and jobs for them. What is left is
HTTP, store and verification."""

import hashlib
import multiprocessing
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.installation import Installation
from dockercomp.protocol.messages import (
    PROTOCOL,
    Ceiling,
    EnrolAnswer,
    EnrolRequest,
    Machine,
    ResultReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import JobView, SubmitRequest
from server.wiring import open_store

CLIENTS = 8
_LOOK_S = 0.02
_MACHINE = Machine(hostname="bench", cpus=1, memory=8 << 30, disk_free=1 << 40, platform="linux/amd64")
_CEILING = Ceiling(containers=1, cpus=1, memory=4 << 30)


def register_image(installation: Installation) -> None:
    """A job needs an image to name; nothing here ever runs it."""
    image = {
        "_id": "none linux/amd64",
        "name": "none",
        "platform": "linux/amd64",
        "config_digest": "sha256:" + "0" * 64,
        "archive": "0" * 64,
        "size": 0,
        "created": time.time(),
    }
    with open_store(installation.settings) as store:
        store.images.register(image)


def submit(admin: Connection, chunks: int, quorum: int) -> str:
    """A job of so many chunks, a number each; its id."""
    spec = JobSpec(
        name="dispatch",
        image="none",
        input=InputSpec(split="range", start=0, stop=chunks, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="quorum" if quorum > 1 else "none", quorum=quorum),
        reuse=False,
    )
    return admin.call("submit", JobView, SubmitRequest(spec=spec)).id


def accepted(admin: Connection, job: str) -> int:
    return admin.call("job", JobView, job=job).stages[0].accepted


def wait_accepted(admin: Connection, job: str, chunks: int, timeout: float = 600) -> float:
    """When so many chunks were accepted, on the clock of time.perf_counter."""
    deadline = time.monotonic() + timeout
    while accepted(admin, job) < chunks:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{chunks:,} chunks were not accepted within {timeout:g} s")
        time.sleep(_LOOK_S)
    return time.perf_counter()


@contextmanager
def clients(installation: Installation, batch: int) -> Iterator[None]:
    """CLIENTS processes at work, each with so many chunks a sync."""
    context = multiprocessing.get_context("spawn")
    stop, token = context.Event(), installation.enrolment_token()
    arguments = (installation.url, token, batch, stop)
    processes = [context.Process(target=client, args=arguments) for _ in range(CLIENTS)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            process.join(30)


def client(url: str, token: str, batch: int, stop: Any) -> None:
    """A worker that computes nothing: reports its leases as done at once and asks for as many again."""
    enrolled = Connection(url).call(
        "enrol",
        EnrolAnswer,
        EnrolRequest(token=token, machine=_MACHINE, ceiling=_CEILING, request=secrets.token_hex(8)),
    )
    connection = Connection(url, f"{enrolled.client}.{enrolled.secret}")
    session, seq = secrets.token_hex(4), 0
    results: Sequence[ResultReport] = ()
    known: set[str] = set()
    while not stop.is_set():
        seq += 1
        request = SyncRequest(
            protocol=PROTOCOL,
            session=session,
            seq=seq,
            results=list(results),
            want=batch,
            known_jobs=sorted(known),
            machine=_MACHINE,
            ceiling=_CEILING if seq == 1 else None,
        )
        answer = connection.call("sync", SyncAnswer, request)
        known |= {order.job for order in answer.orders}
        results = [done(lease.id, f"{lease.start}\n".encode()) for lease in answer.leases]
        if not results:
            stop.wait(0.02)


def done(lease: str, payload: bytes) -> ResultReport:
    digest = hashlib.sha256(payload).hexdigest()
    return ResultReport(lease=lease, outcome="done", digest=digest, size=len(payload), payload=payload)
