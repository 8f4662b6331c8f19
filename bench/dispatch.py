"""Chunks a second through HTTP, store and verification: a real master and mongod, simulated clients that compute
nothing. Counted are accepted chunks, not replicas."""

import hashlib
import multiprocessing
import secrets
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bench.rows import Row, row
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
from dockercomp.protocol.views import JobView, SubmitRequest, TokenAnswer, TokenRequest
from server import instance
from server.settings import read
from server.wiring import open_store

BATCHES = (1, 10, 100)
QUORUMS = (1, 2)
CLIENTS = 8
SECONDS = 6.0
WARM_UP_S = 1.5

_MACHINE = Machine(hostname="bench", cpus=1, memory=8 << 30, disk_free=1 << 40, platform="linux/amd64")
_CEILING = Ceiling(containers=1, cpus=1, memory=4 << 30)


def rows(runs: int) -> list[Row]:
    """Every quorum and batch size, `runs` times each, on one master."""
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder, _Master(Path(folder)) as master:
        found = []
        for quorum in QUORUMS:
            for batch in BATCHES:
                rates = [master.rate(quorum, batch) for _ in range(runs)]
                found.append(row("dockercomp", f"quorum {quorum}, batch {batch}", "chunks_per_s", "chunks/s", rates))
        master.print_phases()
        return found


class _Master:
    """A master of the benchmark's own, as server/start brings it up."""

    def __init__(self, home: Path) -> None:

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self._settings = read({"DC_HOME": str(home), "DC_PORT": port}, None)

    def __enter__(self) -> "_Master":
        instance.start(self._settings, lambda _: None)
        token = msgspec.json.decode((self._settings.home / "credentials.json").read_bytes())["token"]
        self._admin = Connection(self._settings.url, token)
        self._register_image()
        self._token = self._admin.call("enrolment_token", TokenAnswer, TokenRequest(owner="bench", uses=100_000)).token
        return self

    def __exit__(self, *_: object) -> None:
        instance.stop(self._settings)

    def _register_image(self) -> None:
        """A job needs an image to name; nothing here ever runs it."""
        open_store(self._settings).images.register(
            {
                "_id": "none linux/amd64",
                "name": "none",
                "platform": "linux/amd64",
                "config_digest": "sha256:" + "0" * 64,
                "archive": "0" * 64,
                "size": 0,
                "created": time.time(),
            }
        )

    def rate(self, quorum: int, batch: int) -> float:
        """Accepted chunks a second over SECONDS, after a warm-up."""
        spec = JobSpec(
            name="dispatch",
            image="none",
            input=InputSpec(split="range", start=0, stop=10**9, per_chunk=1),
            map=ProgramSpec(command=["true"]),
            verify=VerifySpec(policy="quorum" if quorum > 1 else "none", quorum=quorum),
        )
        job = self._admin.call("submit", JobView, SubmitRequest(spec=spec)).id
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        clients = [
            context.Process(target=client, args=(self._settings.url, self._token, batch, stop)) for _ in range(CLIENTS)
        ]
        for process in clients:
            process.start()
        try:
            self._until_accepted(job, batch)
            time.sleep(WARM_UP_S)
            begun, first = time.perf_counter(), self._accepted(job)
            time.sleep(SECONDS)
            last, ended = self._accepted(job), time.perf_counter()
        finally:
            stop.set()
            for process in clients:
                process.join(30)
            self._admin.call("job_cancel", JobView, job=job)
        return (last - first) / (ended - begun)

    def _until_accepted(self, job: str, batch: int) -> None:
        deadline = time.monotonic() + 60
        while self._accepted(job) < batch:
            if time.monotonic() > deadline:
                raise RuntimeError("no chunk was accepted within 60 s")
            time.sleep(0.05)

    def _accepted(self, job: str) -> int:
        return self._admin.call("job", JobView, job=job).stages[0].accepted

    def print_phases(self) -> None:
        """Where a sync's time goes, from the master's own metrics."""
        text = self._admin.request("metrics").text
        sums: dict[str, Any] = {}
        for family in text_string_to_metric_families(text):
            if family.name == "dockercomp_sync_phase_seconds":
                for sample in family.samples:
                    entry = sums.setdefault(sample.labels["phase"], [0.0, 0.0])
                    entry[sample.name.endswith("_count")] += (
                        sample.value if sample.name.endswith(("_sum", "_count")) else 0
                    )
        print("phase of a sync           mean ms   share")
        total = sum(entry[0] for entry in sums.values()) or 1
        for phase, (seconds, count) in sorted(sums.items(), key=lambda item: -item[1][0]):
            print(f"{phase:<24}{1000 * seconds / max(count, 1):>9.2f}{seconds / total:>8.0%}")


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
        results = [_done(lease.id, f"{lease.start}\n".encode()) for lease in answer.leases]
        if not results:
            stop.wait(0.02)


def _done(lease: str, payload: bytes) -> ResultReport:
    digest = hashlib.sha256(payload).hexdigest()
    return ResultReport(lease=lease, outcome="done", digest=digest, size=len(payload), payload=payload)
