"""Simulated volunteers for tests of the master: they speak the protocol and compute in the test's own process."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from dockercomp.protocol.messages import (
    PROTOCOL,
    Ceiling,
    EnrolRequest,
    Failure,
    Lease,
    Machine,
    ResultReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import SubmitRequest, TokenRequest
from server.enrolment import Enrolment
from server.inputs import Inputs
from server.jobs import Submission
from server.metrics import Metrics
from server.store import Store
from server.store.credentials import secret_hash
from server.sync import Sync

MACHINE = Machine(hostname="pc", cpus=4, memory=8 << 30, disk_free=1 << 40, platform="linux/amd64")
CEILING = Ceiling(containers=4, cpus=4, memory=4 << 30)

Program = Callable[[Lease], bytes]


def double(lease: Lease) -> bytes:
    """What the simulated program gives: enough to tell chunks apart."""
    return f"{lease.start}-{lease.stop}\n".encode()


@dataclass
class Master:
    """The duties of a master on a real store, without HTTP."""

    store: Store
    sync: Sync = field(init=False)
    enrolment: Enrolment = field(init=False)
    submission: Submission = field(init=False)
    token: str = field(init=False)

    def __post_init__(self) -> None:
        inputs = Inputs(self.store)
        self.sync = Sync(self.store, inputs, Metrics(), heartbeat_s=5, draws=b"d" * 32)
        self.enrolment = Enrolment(self.store, "k" * 64)
        self.submission = Submission(self.store, b"s" * 32, inputs.sources)
        self.token = self.token_of("lab")
        self.store.images.register(
            {
                "_id": "i linux/amd64",
                "name": "i",
                "platform": "linux/amd64",
                "config_digest": "sha256:" + "1" * 64,
                "archive": "2" * 64,
                "size": 1,
                "created": time.time(),
            }
        )

    def token_of(self, owner: str, *, trusted: bool = False) -> str:
        """An enrolment token of that owner."""
        from datetime import datetime, timedelta, timezone

        request = TokenRequest(owner=owner, uses=10_000, trusted=trusted)
        return self.store.credentials.make(
            "enrolment",
            datetime.now(timezone.utc),
            timedelta(days=1),
            owner=request.owner,
            uses=request.uses,
            trusted=request.trusted,
            requests=[],
        )

    def volunteer(
        self, program: Program = double, *, token: str = "", address: str = "192.0.2.1", cpu_kind: str = ""
    ) -> "Volunteer":
        machine = msgspec.structs.replace(MACHINE, cpu_kind=cpu_kind)
        request = EnrolRequest(
            token=token or self.token, machine=machine, ceiling=CEILING, request=secrets.token_hex(8)
        )
        answer = self.enrolment.enrol(request, address)
        return Volunteer(self, answer.client, secret_hash(answer.secret), program, address=address, machine=machine)

    def submit(
        self,
        numbers: int,
        *,
        quorum: int = 2,
        reduce: bool = False,
        retries: int = 3,
        verify: VerifySpec | None = None,
    ) -> str:
        spec = JobSpec(
            name="numbers",
            image="i",
            input=InputSpec(split="range", start=0, stop=numbers, per_chunk=1),
            map=ProgramSpec(command=["true"]),
            reduce=ReduceSpec(command=["cat"]) if reduce else None,
            verify=verify or VerifySpec(policy="quorum" if quorum > 1 else "none", quorum=quorum),
            retries=retries,
        )
        return str(self.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])


@dataclass
class Volunteer:
    """One client's daemon: leases, computes and reports, one sync at a time."""

    master: Master
    id: str
    secret_hash: str
    program: Program
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    seq: int = 0
    held: dict[str, Lease] = field(default_factory=dict)
    results: dict[str, ResultReport] = field(default_factory=dict)
    address: str = "192.0.2.1"
    machine: Machine = MACHINE

    def request(self, want: int) -> SyncRequest:
        """The next sync, not sent yet."""
        self.seq += 1
        return SyncRequest(
            protocol=PROTOCOL,
            session=self.session,
            seq=self.seq,
            held=list(self.held),
            results=list(self.results.values()),
            want=want,
            machine=self.machine,
            ceiling=CEILING,
        )

    def send(self, request: SyncRequest) -> SyncAnswer:
        """Send it (again) and forget what is acknowledged."""
        answer = self.master.sync.answer(self.id, self.secret_hash, request, self.address)
        for ack in answer.acks:
            if ack.status != "send":
                self.results.pop(ack.lease, None)
        for lease in answer.cancelled:
            self.held.pop(lease, None)
        self.held.update({lease.id: lease for lease in answer.leases})
        return answer

    def work(self, want: int = 10) -> SyncAnswer:
        """One whole turn: report what was computed, take new leases, compute them all."""
        answer = self.send(self.request(want))
        self.compute()
        return answer

    def compute(self) -> None:
        for lease in self.held.values():
            self.results[lease.id] = done(lease.id, self.program(lease))
        self.held.clear()

    def fail(self, failure: Failure) -> None:
        """Report every lease as failed."""
        for lease in self.held:
            self.results[lease] = ResultReport(lease=lease, outcome="failed", failure=failure)
        self.held.clear()


def done(lease: str, payload: bytes) -> ResultReport:
    digest = hashlib.sha256(payload).hexdigest()
    return ResultReport(lease=lease, outcome="done", digest=digest, size=len(payload), payload=payload)
