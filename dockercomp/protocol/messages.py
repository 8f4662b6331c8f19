"""The messages between a worker and the master, as they stand on the wire (JSON; bytes travel as base64).

Units: sizes in bytes, times in seconds, CPUs in cores. Workers are told durations, never points in time. Unknown
fields are ignored, so that an older side can read a newer one; `PROTOCOL` changes only when that is not enough.
"""

from math import sqrt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PROTOCOL = 1
"""Version of the sync contract. The master answers another version with `protocol_unsupported`."""

INLINE_LIMIT = 64 * 1024
"""Largest input or result, in bytes, that rides inside a sync; larger ones are streamed over their own URLs."""

PART_LIMIT = 8 * 1024 * 1024
"""Largest part, in bytes, of a streamed transfer, in either direction."""

SYNC_LIMIT = 512
"""Most results, and most new leases, in one sync."""

Name = Annotated[str, Meta(max_length=500)]
LONGEST_SENTENCE = 2000
Sentence = Annotated[str, Meta(max_length=LONGEST_SENTENCE)]
Log = Annotated[str, Meta(max_length=8192)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Bytes = Annotated[int, Meta(ge=0, le=2**53)]
Amount = Annotated[float, Meta(ge=0, le=1e12)]
"""What a client may send: bounded, so that no document of the master grows beyond what MongoDB and a page can hold."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all messages: immutable, named fields, defaults left off the wire."""


# --- enrolment ---------------------------------------------------------------------------------------------------


class Machine(Message, frozen=True, kw_only=True):
    """What a volunteer's machine says of itself; shown to admins, never trusted for eligibility beyond `platform`."""

    hostname: Name
    cpus: Count
    memory: Bytes
    disk_free: Bytes
    platform: Name
    """Docker's words, such as `linux/amd64`."""
    engine: Name = ""
    """Version of the Docker Engine."""
    cgroup: Literal["v1", "v2", ""] = ""
    worker: Name = ""
    """Version of the worker."""
    cpu_kind: Name = ""
    """The kind of CPU, as far as results may depend on it: the same text for machines that compute the same bits."""


class Ceiling(Message, frozen=True, kw_only=True):
    """The most that the volunteer allows: containers at once, and CPUs and memory of all containers together."""

    containers: Count
    cpus: Amount
    memory: Bytes
    disk: Bytes = 0
    """Most bytes of everything of ours on the machine: images, inputs, scratch. 0: not said."""
    network_per_day: Bytes = 0
    """Most bytes to and from the master and by containers in 24 hours. 0: not limited."""
    allows: Annotated[list[Name], Meta(max_length=16)] = []
    """The wants (orders.Want) that the volunteer consents to."""


class EnrolRequest(Message, frozen=True, kw_only=True):
    token: Name
    """An enrolment token made by an admin."""
    machine: Machine
    ceiling: Ceiling
    request: Name
    """Random id made once by this DC_HOME: enrolling again with the same id gives the same client a new secret."""


class EnrolAnswer(Message, frozen=True, kw_only=True):
    client: str
    secret: str
    """Shown once; the master keeps only its SHA-256."""
    master_key: str
    """Ed25519 public key of the master, 64 hex digits; every job order must carry its signature."""
    owner: str


# --- allocation ----------------------------------------------------------------------------------------------------


Priority = Literal["low", "normal", "high"]
"""How much a client's containers weigh against the other containers on its machine, where CPU is short."""
Policy = Literal["fixed", "equal", "curve", "overcommit"]
"""How the client's CPU, containers × CPUs, is divided among the containers that compute. `fixed`: each has its own,
used or not; the others as worker/cpu_plan.py says."""
Shrink = Literal["drain", "requeue"]
"""What becomes of chunks that run in containers that go: they end first, or are given back at once."""


class Allocation(Message, frozen=True, kw_only=True):
    """What an admin gives a client: so many containers, each with `cpus` and `memory`. Desired state, reconciled."""

    version: int
    containers: Count
    cpus: Amount
    memory: Bytes
    paused: bool = False
    disk: Bytes = 0
    """Most bytes of everything of ours on the machine. 0: whatever the volunteer's ceiling allows."""
    jobs: Annotated[list[Name], Meta(max_length=64)] = []
    """Only jobs whose id or name matches one of these patterns (fnmatch) are given to it. Empty: all."""
    priority: Priority = "normal"
    policy: Policy = "fixed"
    shrink: Shrink = "drain"
    force: bool = False
    """Memory is lowered below what a container uses now, which may end its chunk, instead of after the chunk."""


Part = Literal["containers", "cpus", "memory", "disk", "jobs", "priority", "policy", "paused"]
PartState = Literal["waiting", "applied", "verified", "failed"]
"""`waiting`: for something that will come by itself, such as a chunk's end; `applied`: done, but nothing there can be
read back; `verified`: read back, and as planned; `failed`: refused, or read back otherwise."""


class PartReport(Message, frozen=True, kw_only=True):
    """How far one part of an allocation has come on its client."""

    part: Part
    state: PartState
    actual: Name = ""
    """What is in force, in words: `2 CPUs each`, as it was read back where it was."""
    why: Sentence = ""
    """What it waits for, what was cut by the ceiling or the machine, or the engine's own words where it refused."""


class AppliedAllocation(Message, frozen=True, kw_only=True):
    """What a worker made of an allocation. `verified` only if each container's cgroup reads back as planned."""

    version: Count
    containers: Count
    cpus: Amount
    memory: Bytes
    verified: bool
    note: Sentence = ""
    """Why it differs from the allocation (ceiling, machine, engine's refusal), in one sentence."""
    parts: Annotated[list[PartReport], Meta(max_length=16)] = []
    """Each part once; none from workers older than this field."""


class ContainerReport(Message, frozen=True, kw_only=True):
    """One container as its worker sees it now."""

    name: Name
    id: Name
    job: Name
    state: Literal["starting", "idle", "running", "paused", "stopping", "dead"]
    image: Name
    address: Name = "none"
    """IP address inside its network; `none` with the network off, which is the default."""
    chunk: Name = ""
    cpus_planned: Amount = 0.0
    cpus_limit: Amount | None = None
    """CPU limit read back from the cgroup; None where it could not be read."""
    memory_planned: Bytes = 0
    memory_limit: Bytes | None = None
    """Memory limit read back from the cgroup, scratch included; None where it could not be read."""
    cpus_used: Amount | None = None
    memory_used: Bytes | None = None
    read_from: Name = ""
    """Where the limits were read: `cgroup v1`, `cgroup v2` or `runner`."""
    cpuset: Name = ""
    """The CPUs that it is pinned to, as read back: `0-3,8`. Empty: not pinned, or not read."""
    weight: Amount | None = None
    """Its weight against other containers as read back, on the scale of cgroup v1 (1024 is normal)."""


# --- chunks --------------------------------------------------------------------------------------------------------

FailureReason = Literal["exit", "signal", "memory", "time", "disk", "output", "input", "image", "engine", "refused"]
"""Why a replica failed: the program's exit code or signal; its memory, time, scratch or output limit; or, not the
program's fault: its input could not be read, its image not be had, the engine failed, the worker refused the job."""


class Failure(Message, frozen=True, kw_only=True):
    reason: FailureReason
    message: Sentence
    """One sentence for the scientist."""
    exit_code: int | None = None
    log_head: Log = ""
    """First 4 KiB of stderr."""
    log_tail: Log = ""
    """Last 4 KiB of stderr, where it is longer than the head."""


class ResultReport(Message, frozen=True, kw_only=True):
    """What became of one lease. Sent again in every sync until it is acknowledged."""

    lease: Name
    outcome: Literal["done", "failed", "returned"]
    """`returned`: given back unrun, nobody's fault."""
    digest: Name = ""
    """SHA-256 of the result, 64 hex digits, when done."""
    size: Bytes = 0
    payload: bytes | None = None
    """The result itself up to INLINE_LIMIT; larger ones are uploaded when the acknowledgement says `send`."""
    failure: Failure | None = None
    input_digest: Name = ""
    """SHA-256 of the input as it was fed to the program."""
    cpu_s: Amount = 0.0
    wall_s: Amount = 0.0
    memory_peak: Bytes = 0
    cpus_limit: Amount = 0.0
    memory_limit: Bytes = 0
    """The limits in force when it ended, as read back from the cgroup; 0 where they could not be read."""
    width: Amount = 0.0
    """CPUs that it had from its begin to its end, so that its time tells of the job's speed-up; 0 where that changed or
    is not known."""
    log: Log = ""
    """When done: the first and last KiB of what the program said beside its result."""


class RunningReport(Message, frozen=True, kw_only=True):
    """How a chunk that has run for some seconds is doing, for the eye."""

    lease: Name
    seconds: Amount
    """Running time so far, pauses left out."""
    progress: Annotated[float, Meta(ge=0, le=1)] | None = None
    """As the program itself reports it."""
    message: Name = ""
    checkpoint: Bytes = 0
    """Size of the last checkpoint it saved; 0: none."""
    log_from: Bytes = 0
    log: bytes = b""
    """The next part of its log, from byte `log_from`: at most STREAM_PART bytes."""
    output_from: Bytes = 0
    output: bytes = b""
    """The next part of its output, likewise."""


STREAM_PART = 16 * 1024


class Ack(Message, frozen=True, kw_only=True):
    """The master's answer to one ResultReport; it names exactly what is stored.

    `stored`: durable, forget it. `send`: the digest is committed; upload the payload, then report it again. `late`: the
    chunk was settled without it, forget it. `unknown`: no such lease of yours, forget it. `rejected`: refused for
    `reason` (a checksum that differs), forget it. A report without an Ack was not stored: send it again.
    """

    lease: str
    status: Literal["stored", "send", "late", "unknown", "rejected"]
    reason: str = ""


class Lease(Message, frozen=True, kw_only=True):
    """One client's time-limited right to one chunk. Says nothing of first, later or canary replicas."""

    id: str
    job: str
    stage: int
    """0 map, 1 reduce; 2, 3 … further levels of a reduce by a tree."""
    index: int
    deadline_s: float
    """Seconds from this answer until the lease ends, however often the client is heard of."""
    input: bytes | None = None
    """The input itself where it is small; else fetch it from the lease's input URL."""
    input_size: int = 0
    pieces: list["Piece"] | None = None
    """Where the input is made of named pieces (files split; reduce) and small: their sizes in stream order."""
    has_pieces: bool = False
    start: int | None = None
    stop: int | None = None
    """The chunk's numbers [start, stop) of a range split; of a product split its combinations."""
    fetch: list["Fetch"] | None = None
    """Where the worker reads the input itself instead: the input is these spans one after the other."""


class Fetch(Message, frozen=True, kw_only=True):
    """Bytes of a URL for the worker to read: [start, stop), for splits by lines moved to whole lines by
    protocol.boundaries."""

    url: str
    size: int
    """Of the whole; with `etag` it tells that the URL still gives what was submitted."""
    etag: str = ""
    start: int
    stop: int
    lines: bool = False
    prefix: bytes = b""
    """Given before these bytes: the header of a csv split."""


class Piece(Message, frozen=True, kw_only=True):
    """One file of a chunk's input: the next `size` bytes of the stream. `name` is a relative path."""

    name: str
    size: int


class SignedOrder(Message, frozen=True, kw_only=True):
    """A job order as stored: `body` is the JSON of orders.JobOrder, signed as bytes and never re-serialised."""

    job: str
    body: bytes
    key: str
    """The master's public key, 64 hex digits."""
    signature: bytes
    scientist_key: str = ""
    """The scientist's public key, where the job was submitted by a command line that has one."""
    scientist: bytes = b""
    """JSON of signing.Statement: what the scientist signed, as bytes."""
    scientist_signature: bytes = b""


# --- the sync ------------------------------------------------------------------------------------------------------


class RefusedJob(Message, frozen=True, kw_only=True):
    job: Name
    reason: Sentence


class Point(Message, frozen=True, kw_only=True):
    """Runs at one width: their number, the sum of their wall seconds and of the squares, and of their CPU seconds, each
    for one unit of work. Points of one width add up."""

    width: float
    runs: int
    wall_s: float
    wall_s2: float
    cpu_s: float = 0.0

    @property
    def mean(self) -> float:
        """Wall seconds of a run."""
        return self.wall_s / self.runs

    @property
    def spread(self) -> float:
        """Standard deviation of a run's wall seconds; 0 where one run tells nothing of it."""
        if self.runs < 2:
            return 0.0
        return sqrt(max(0.0, (self.wall_s2 - self.wall_s**2 / self.runs) / (self.runs - 1)))


class JobPoints(Message, frozen=True, kw_only=True):
    """What is known of how a job's stage speeds up with width on machines of the client's kind; the unit is a chunk."""

    job: Name
    stage: Count
    points: list[Point]


class SyncRequest(Message, frozen=True, kw_only=True):
    """One round trip: heartbeat, states, results, and how many chunks are wanted."""

    protocol: int
    session: Name
    """Random id of this start of the worker."""
    seq: Count
    """1, 2, 3 … within a session. A repeated number gets the same leases again, and nothing is counted twice."""
    held: Annotated[list[Name], Meta(max_length=20_000)] = []
    """Every lease this worker still means to finish. An earlier lease not named is given to others at once."""
    results: list[ResultReport] = []
    running: Annotated[list[RunningReport], Meta(max_length=64)] = []
    want: Count = 0
    """How many more chunks it would take now."""
    known_jobs: Annotated[list[Name], Meta(max_length=2000)] = []
    """Jobs whose order it holds."""
    refused_jobs: Annotated[list[RefusedJob], Meta(max_length=2000)] = []
    containers: Annotated[list[ContainerReport], Meta(max_length=1100)] = []
    applied: AppliedAllocation | None = None
    machine: Machine | None = None
    """In the first sync of a session, and when it changed."""
    ceiling: Ceiling | None = None
    load: Amount = 0.0
    """The machine's load average over one minute."""
    status: Sentence = ""
    """One sentence on what it is doing or why it is idle."""
    problems: Annotated[list[Sentence], Meta(max_length=16)] = []
    """What is wrong on the volunteer's side and how to mend it, such as a line of `configuration` that is not used."""
    leaving: bool = False
    """The worker is stopping: everything it holds is named in results."""


class SyncAnswer(Message, frozen=True, kw_only=True):
    protocol: int
    seq: int
    acks: list[Ack] = []
    leases: list[Lease] = []
    orders: list[SignedOrder] = []
    """Orders of the jobs in `leases` that the request did not name as known."""
    cancelled: list[str] = []
    """Leases among `held` that are no longer the client's: stop them."""
    closed_jobs: list[str] = []
    """Jobs among `known_jobs` that have ended: their containers may go."""
    allocation: Allocation
    call_again_s: float
    """Longest time to wait before the next sync; results may be brought earlier."""
    why_idle: str = ""
    """Where fewer chunks were given than wanted: why, in one sentence."""
    points: list[JobPoints] = []
    """Of known jobs and those in `leases`, whenever what is known of them has grown by much."""
    worker_version: str = ""
    """The version that this master serves, so that a worker can tell its volunteer that it is old."""
