"""A real master, spoken to over HTTP by clients of which some lie: each accepted result is compared with the truth."""

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from bench import simulated
from bench.installation import Installation, installed
from bench.rows import Row, row
from bench.saboteurs import TRUTH, Behaviour, Honest, saboteur
from dockercomp.protocol.messages import (
    PROTOCOL,
    Ceiling,
    EnrolAnswer,
    EnrolRequest,
    Lease,
    Machine,
    ResultReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import JobView, SubmitRequest, TokenAnswer, TokenRequest

CLIENTS = 20
CHUNKS = 4_000
KINDS = {
    "10 %": ("liars", "sleepers"),
    "40 %": ("liars", "liars", "liars", "sleepers", "sleepers", "sleepers", "copiers", "copiers"),
}
RATE = 0.5
_PATIENCE_S = 600
_BATCH = 10


@dataclass
class LiveClient:
    """A client that computes nothing and answers as it likes."""

    connection: Connection
    behaviour: Behaviour
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    seq: int = 0
    given: int = 0

    def sync(self, held: list[Lease]) -> list[Lease]:
        """Bring results of the leases held, take others."""
        self.seq += 1
        self.given += len(held)
        request = SyncRequest(
            protocol=PROTOCOL,
            session=self.session,
            seq=self.seq,
            results=[self._result(lease) for lease in held],
            want=_BATCH,
            known_jobs=[held[0].job] if held else [],
            machine=_MACHINE,
            ceiling=_CEILING if self.seq == 1 else None,
        )
        return self.connection.call("sync", SyncAnswer, request).leases

    def _result(self, lease: Lease) -> ResultReport:
        return simulated.done(lease.id, line(lease.index, self.behaviour.answer(lease.index, []) or ""))

    def work(self, stop: threading.Event) -> None:
        held: list[Lease] = []
        while not stop.is_set():
            held = self.sync(held)
            if not held:
                stop.wait(0.05)


_MACHINE = Machine(hostname="bench", cpus=1, memory=8 << 30, disk_free=1 << 40, platform="linux/amd64")
_CEILING = Ceiling(containers=1, cpus=1, memory=4 << 30)


def line(index: int, answer: str) -> bytes:
    return f"{index} {answer}\n".encode()


def rows(chunks: int = CHUNKS) -> Iterator[Row]:
    """Wrong accepted results and copies a chunk, with a tenth and with two fifths of saboteurs."""
    for share, kinds in KINDS.items():
        with installed() as installation:
            simulated.register_image(installation)
            begun = time.perf_counter()
            wrong, copies = run(installation, kinds, chunks)
            print(f"live, {share} saboteurs: {chunks} chunks in {time.perf_counter() - begun:.0f} s, {wrong} wrong")
        yield row("dockercomp", f"live, {share} saboteurs", "accepted_wrong_rate", "share", [wrong / chunks], digits=7)
        yield row("dockercomp", f"live, {share} saboteurs", "copies_per_chunk", "copies", [copies])


def run(installation: Installation, kinds: tuple[str, ...], chunks: int) -> tuple[int, float]:
    """Accepted results that are wrong, and results a chunk."""
    admin, random = installation.admin(), Random(chunks)
    behaviours = [saboteur(kind, RATE, random, 1) for kind in kinds]
    behaviours += [Honest() for _ in range(CLIENTS - len(kinds))]
    clients = [_enrolled(installation, admin, number, each) for number, each in enumerate(behaviours)]
    spec = JobSpec(
        name="liars",
        image="none",
        input=InputSpec(split="range", start=0, stop=chunks, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="adaptive"),
        reuse=False,
    )
    job = admin.call("submit", JobView, SubmitRequest(spec=spec)).id
    stop = threading.Event()
    threads = [threading.Thread(target=client.work, args=(stop,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        _ended(admin, job)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    lines = admin.request("job_result", job=job).content.splitlines(keepends=True)
    wrong = sum(1 for index, found in enumerate(lines) if found != line(index, TRUTH))
    return wrong + abs(chunks - len(lines)), sum(client.given for client in clients) / chunks


def _enrolled(installation: Installation, admin: Connection, number: int, behaviour: Behaviour) -> LiveClient:
    """A client of an owner of its own."""
    token = admin.call("enrolment_token", TokenAnswer, TokenRequest(owner=f"owner{number}")).token
    enrolled = Connection(installation.url).call(
        "enrol",
        EnrolAnswer,
        EnrolRequest(token=token, machine=_MACHINE, ceiling=_CEILING, request=secrets.token_hex(8)),
    )
    return LiveClient(Connection(installation.url, f"{enrolled.client}.{enrolled.secret}"), behaviour)


def _ended(admin: Connection, job: str) -> None:
    """Wait for the job's end. Raises RuntimeError where it is not completed in time."""
    deadline = time.monotonic() + _PATIENCE_S
    while (view := admin.call("job", JobView, job=job)).state == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    if view.state != "completed":
        raise RuntimeError(f"the job is {view.state} after {_PATIENCE_S} s: {view.error or view.waiting}")
