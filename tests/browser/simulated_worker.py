"""A volunteer's daemon whose containers are made up; everything it says to the master goes over real HTTP."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

from dockercomp import __version__
from dockercomp.protocol.messages import (
    PROTOCOL,
    Allocation,
    AppliedAllocation,
    Ceiling,
    ContainerReport,
    EnrolAnswer,
    EnrolRequest,
    Failure,
    Lease,
    Machine,
    Part,
    PartReport,
    PartState,
    RefusedJob,
    ResultReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.transport import Connection

Program = Callable[[Lease], bytes]

SCRATCH = 64 << 20
CEILING = Ceiling(containers=4, cpus=4, memory=4 << 30)


def told_apart(lease: Lease) -> bytes:
    return f"{lease.start}-{lease.stop}\n".encode()


def done(lease: Lease, payload: bytes) -> ResultReport:
    digest = hashlib.sha256(payload).hexdigest()
    return ResultReport(lease=lease.id, outcome="done", digest=digest, size=len(payload), payload=payload)


@dataclass
class SimulatedWorker:
    url: str
    token: str
    hostname: str
    ceiling: Ceiling = CEILING
    job: str = ""
    status: str = "running 2 chunks"
    use: float = 0.9
    """Part of each limit that its containers use."""
    refused: list[RefusedJob] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    version: str = __version__
    seq: int = 0
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    containers: list[ContainerReport] = field(default_factory=list)
    applied: AppliedAllocation | None = None
    held: list[Lease] = field(default_factory=list)
    results: list[ResultReport] = field(default_factory=list)
    last: SyncAnswer | None = None

    def __post_init__(self) -> None:
        self.machine = Machine(
            hostname=self.hostname,
            cpus=8,
            memory=16 << 30,
            disk_free=200 << 30,
            platform="linux/amd64",
            engine="20.10.24",
            cgroup="v1",
            worker=self.version,
        )
        request = EnrolRequest(
            token=self.token, machine=self.machine, ceiling=self.ceiling, request=secrets.token_hex(8)
        )
        enrolled = Connection(self.url).call("enrol", EnrolAnswer, request)
        self.id = enrolled.client
        self._connection = Connection(self.url, f"{enrolled.client}.{enrolled.secret}")

    def sync(self, want: int = 0, **changes: object) -> SyncAnswer:
        """One sync, with what this worker is and has now."""
        self.seq += 1
        request = SyncRequest(
            protocol=PROTOCOL,
            session=self.session,
            seq=self.seq,
            want=want,
            held=[lease.id for lease in self.held],
            results=self.results,
            containers=self.containers,
            applied=self.applied,
            machine=self.machine,
            ceiling=self.ceiling,
            refused_jobs=self.refused,
            problems=self.problems,
            status=self.status,
            **changes,  # type: ignore[arg-type]
        )
        self.last = self._connection.call("sync", SyncAnswer, request)
        self.results = []
        self.held += self.last.leases
        return self.last

    def retire(self) -> None:
        """Leave for good, as an uninstalled worker does."""
        self._connection.request("client_retire")

    def apply(
        self, allocation: Allocation, *, verified: bool = True, note: str = "", **otherwise: tuple[PartState, str]
    ) -> None:
        """Make the containers what `allocation` says, and read their limits back, but for those parts that go
        `otherwise`: their state, and why. Told to the master by `sync`."""
        self.containers = [self._container(number, allocation) for number in range(1, allocation.containers + 1)]
        self.applied = AppliedAllocation(
            version=allocation.version,
            containers=allocation.containers,
            cpus=allocation.cpus,
            memory=allocation.memory,
            verified=verified,
            note=note,
            parts=[_part(part, allocation, verified, otherwise.get(part)) for part in get_args(Part)],
        )

    def work(self, want: int, result: bytes | Program = told_apart) -> None:
        """Take chunks, as many as there are up to `want`, and report what they give. They are dealt in portions."""
        while want > 0 and self.sync(want).leases:
            want -= len(self.held)
            self.results = [done(lease, result if isinstance(result, bytes) else result(lease)) for lease in self.held]
            self.held = []
        self.sync()

    def fail(self, want: int, failure: Failure) -> None:
        """Take chunks and report that they failed."""
        self.sync(want)
        self.results = [ResultReport(lease=lease.id, outcome="failed", failure=failure) for lease in self.held]
        self.held = []
        self.sync()

    def _container(self, number: int, allocation: Allocation) -> ContainerReport:
        limit = allocation.memory + SCRATCH
        return ContainerReport(
            name=f"dc-{self.hostname}-{number}",
            id=hashlib.sha256(f"{self.id}{number}".encode()).hexdigest(),
            job=self.job,
            state="paused" if allocation.paused else "running",
            image="dockercomp/python",
            address="172.17.0.9" if number == 2 else "none",
            chunk=f"map {number}",
            cpus_planned=allocation.cpus,
            cpus_limit=allocation.cpus,
            memory_planned=limit,
            memory_limit=limit,
            cpus_used=allocation.cpus * self.use,
            memory_used=int(limit * self.use / 2),
            read_from="cgroup v1",
            cpuset=str(number - 1),
            weight={"low": 512, "normal": 1024, "high": 2048}[allocation.priority],
        )


def _part(part: Part, allocation: Allocation, verified: bool, otherwise: tuple[PartState, str] | None) -> PartReport:
    if otherwise:
        return PartReport(part=part, state=otherwise[0], why=otherwise[1])
    if part in ("disk", "jobs", "policy"):
        return PartReport(part=part, state="applied")
    actual = {"cpus": f"{allocation.cpus:g} CPUs each", "memory": f"{allocation.memory >> 20} MiB each"}
    actual["containers"] = f"{allocation.containers} containers"
    return PartReport(part=part, state="verified" if verified else "waiting", actual=actual.get(part, ""))
