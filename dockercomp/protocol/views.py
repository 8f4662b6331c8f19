"""What scientists and admins send and see over HTTP (JSON)."""

from typing import Literal

from .messages import (
    Allocation,
    AppliedAllocation,
    Ceiling,
    ContainerReport,
    Machine,
    Message,
    Part,
    PartState,
    Point,
    Policy,
    Priority,
    Shrink,
)
from .orders import ImagePin, JobSpec

JobState = Literal["running", "completed", "failed", "cancelled"]
ChunkState = Literal["open", "accepted", "failed", "cancelled"]


class InputFile(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input: an upload, the result of another job, or a URL. `name` is its path as the program sees it."""

    name: str
    digest: str = ""
    """SHA-256 of the upload that holds it."""
    size: int = 0
    """In bytes; of a job's result or a URL the master finds it out."""
    offset: int = 0
    """Where it begins in the upload: many small files travel as one."""
    job: str = ""
    """Its result is the input; while it runs, this one waits. A result of several files stands for all of them."""
    url: str = ""
    etag: str = ""


class SubmitRequest(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job: its specification, the digest of its folder's tar (uploaded before), and its inputs (uploaded before)."""

    spec: JobSpec
    program: str = ""
    inputs: list[InputFile] = []
    input_list: str = ""
    """Instead of `inputs`, where there are very many: SHA-256 of an upload with one InputFile as JSON a line."""
    scientist_key: str = ""
    """The public key, registered before, of the scientist's signature; the browser has none."""
    statement: bytes = b""
    """JSON of signing.Statement."""
    signature: bytes = b""
    """signing.sign_statement over these very bytes."""


class DigestList(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    digests: list[str]


class Forecast(Message, frozen=True, kw_only=True):
    """What a job would be if it were submitted now (`--dry-run`)."""

    stages: list["StageView"]
    reused: int
    """Chunks whose result is here already."""
    clients: int
    """Clients that could run it now."""
    containers: int
    """Containers of those clients."""
    seconds_low: float | None = None
    seconds_high: float | None = None
    """How long it may take, where an earlier job tells how long its chunks run."""
    wants: str = ""
    """What it needs volunteers' consent to, and how many connected clients give it; empty where nothing."""
    waiting: str = ""
    """Why it would wait; empty where it would not."""


class StageView(Message, frozen=True, kw_only=True):
    name: str
    """`map`, `reduce`; of a tree `reduce 1`, `reduce 2` …"""
    chunks: int
    """Chunks in all."""
    issued: int
    """Chunks handed out at least once."""
    accepted: int
    """Chunks with a canonical result."""


class TrustView(Message, frozen=True, kw_only=True):
    """How wrong a job's accepted chunks may be, and what checking them cost."""

    basis: Literal["none", "quorum", "adaptive"]
    share: float = 0.0
    """Estimated share of wrong accepted chunks, 0 to 1 …"""
    low: float = 0.0
    high: float = 1.0
    """… and the interval that holds with `confidence`, whatever the liars' plan, as long as they do not share lies."""
    confidence: float = 0.95
    accepted: int
    single: int = 0
    """Chunks that rest on one client's word."""
    results: int = 0
    copies_per_chunk: float = 0.0
    cpu_s: float | None = None
    cpu_s_checking: float | None = None
    """CPU seconds of all results, and of those beyond each chunk's first; None while the job runs."""
    clients_wrong: int = 0
    """Clients that were found wrong in this job."""
    opened_again: int = 0
    """Chunks that rested on their word alone and were checked again."""
    closed: bool = False
    """Whether each client's unchecked results were closed by one more check."""


class JobView(Message, frozen=True, kw_only=True):
    id: str
    name: str
    owner: str
    state: JobState
    created: str
    """RFC 3339, UTC."""
    ended: str | None = None
    stages: list[StageView]
    image: ImagePin
    quorum: int
    results_returned: int = 0
    results_wrong: int = 0
    """Results outvoted by a quorum."""
    failures: int = 0
    error: str = ""
    """Why it failed, and what to do."""
    waiting: str = ""
    """Why it is not moving, in one sentence; empty while it moves."""
    result_size: int | None = None
    result_digest: str | None = None
    result_files: int = 0
    """Files of the result, where it is several; 0: it is plain bytes."""
    eta_low_s: float | None = None
    eta_high_s: float | None = None
    """Seconds until the present stages are done, as a range; None while nothing can be said."""
    missing: list[str] = []
    """Inputs of chunks that were given up, at most 20."""
    missing_count: int = 0
    reused: int = 0
    """Chunks whose result was taken from an earlier job."""
    priority: int = 0
    plots: int = 0
    trust: TrustView | None = None
    edition: int = 1
    """Counts its results: 2 where the first one was withdrawn."""
    withdrawn: str = ""
    """Why the result of the edition before was withdrawn."""
    warning: str = ""
    """Why a result of another job that it took over or read is not good any more."""
    wants: str = ""
    """What it needs volunteers' consent to, and how many connected clients give it; empty where nothing."""
    scientist_key: str = ""
    """Fingerprint of the scientist's key that signed it too; empty where only the master did."""


class JobPage(Message, frozen=True, kw_only=True):
    jobs: list[JobView]
    next: str | None = None
    """Cursor of the next page."""


class ReplicaView(Message, frozen=True, kw_only=True):
    client: str
    state: str
    note: str = ""
    """Where it was no ordinary result: a canary, a second run, or one of a client that is doubted. Said once it came
    back, never before."""
    digest: str = ""
    failure: str = ""
    log_head: str = ""
    log_tail: str = ""
    wall_s: float | None = None
    cpu_s: float | None = None


class ChunkView(Message, frozen=True, kw_only=True):
    """A chunk and where its result comes from."""

    id: str
    stage: str
    index: int
    state: ChunkState
    input: str = ""
    """What it computes on: file names, bytes, numbers."""
    reused_from: str = ""
    """The chunk of an earlier job whose result was taken."""
    error: str = ""
    digest: str | None = None
    size: int | None = None
    quorum: int = 1
    """Equal results that it needs; 1 where it was not drawn for a check."""
    replicas: list[ReplicaView] = []


class ChunkPage(Message, frozen=True, kw_only=True):
    chunks: list[ChunkView]
    next: str | None = None


class ResultFile(Message, frozen=True, kw_only=True):
    """One file of a result of several. `name` is unique within the result."""

    name: str
    size: int
    digest: str = ""


class ResultFiles(Message, frozen=True, kw_only=True):
    files: list[ResultFile]
    next: str | None = None


class RunningChunk(Message, frozen=True, kw_only=True):
    """A chunk that runs now, as its worker last reported it."""

    lease: str
    stage: str
    index: int
    client: str
    seconds: float
    progress: float | None = None
    message: str = ""
    log_tail: str = ""
    checkpoint: int = 0


class RunningPage(Message, frozen=True, kw_only=True):
    chunks: list[RunningChunk]


class Explanation(Message, frozen=True, kw_only=True):
    """Why a job, chunk or client is as it is."""

    subject: str
    sentence: str
    """The reason and the way out."""
    facts: list[str] = []


class ClientView(Message, frozen=True, kw_only=True):
    id: str
    name: str
    owner: str
    address: str
    state: Literal["alive", "silent", "retired"]
    seen_s_ago: float
    status: str
    machine: Machine | None
    ceiling: Ceiling | None
    allocation: Allocation
    applied: AppliedAllocation | None
    containers: list[ContainerReport]
    marked: str = ""
    """Why its results are doubted; empty where they are not."""
    results_valid: int = 0
    results_wrong: int = 0
    results_failed: int = 0
    problems: list[str] = []
    """What is wrong on the volunteer's side, as its worker tells."""
    old: bool = False
    """Its worker is of another version than the master's own; it is never updated unasked."""
    tags: list[str] = []
    group: str = ""
    """The group that it belongs to; empty: none."""
    follows: bool = False
    """Its allocation is its group's, clipped by its ceiling, until an admin changes it alone."""
    progress: "Progress | None" = None


class PartProgress(Message, frozen=True, kw_only=True):
    """How far one part of the wanted allocation has come: `sent` to its worker, received, then as that reports."""

    part: Part
    state: Literal["wanted", "sent", "received"] | PartState
    wanted: str
    """In words, such as `2 CPUs each`."""
    actual: str = ""
    why: str = ""


class Progress(Message, frozen=True, kw_only=True):
    """The way of the allocation that is wanted now. Times are seconds ago; None: not yet."""

    version: int
    author: str
    """Who made it: a person, `group NAME`, or `the first contact`."""
    wanted_s_ago: float
    sent_s_ago: float | None = None
    received_s_ago: float | None = None
    applied_s_ago: float | None = None
    """Since when no part waits or failed."""
    verified_s_ago: float | None = None
    """Since when everything that can be read back was, and is as planned."""
    drifted: str = ""
    """What was last found changed by somebody else on the machine and put right, and when; empty: nothing."""
    parts: list[PartProgress] = []


class AllocationRecord(Message, frozen=True, kw_only=True):
    """One allocation of a client's history. Times are RFC 3339, UTC; empty: it never came so far."""

    allocation: Allocation
    author: str
    at: str
    sent: str = ""
    received: str = ""
    applied: str = ""
    verified: str = ""


class AllocationHistory(Message, frozen=True, kw_only=True):
    """The newest first."""

    records: list[AllocationRecord]
    next: str | None = None


class TagsChange(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All tags of a client: lower-case letters, digits and - . _ , at most 16 of at most 40 characters."""

    tags: list[str]


class GroupRule(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which clients belong to a group: those that fit every part that is given."""

    tags: list[str] = []
    """It has all of them."""
    owner: str = ""
    name: str = ""
    """A pattern (fnmatch) of its machine's name."""
    platform: str = ""
    least_cpus: float = 0.0
    least_memory: int = 0
    """Of its machine."""


class GroupChange(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group as it shall be. What it gives is clipped by each member's ceiling; `containers` None: as many as fit."""

    rule: GroupRule
    order: int = 100
    """A client that fits several groups belongs to the one with the lowest number."""
    share: float = 1.0
    """Of each member's ceiling, above 0 to 1: the CPUs and memory of all its containers together."""
    containers: int | None = None
    cpus: float | None = None
    memory: int | None = None
    """A container's; None: the member's share divided by its containers."""
    paused: bool = False
    disk: int = 0
    jobs: list[str] = []
    priority: Priority = "normal"
    policy: Policy = "fixed"
    shrink: Shrink = "drain"
    force: bool = False


class GroupView(Message, frozen=True, kw_only=True):
    name: str
    version: int
    author: str
    changed_s_ago: float
    group: GroupChange
    members: int
    following: int
    """Members whose allocation is the group's; the others were changed alone."""
    verified: int
    """Members where all of it is in force."""


class GroupList(Message, frozen=True, kw_only=True):
    groups: list[GroupView]


class SpeedupView(Message, frozen=True, kw_only=True):
    """How one stage of a job speeds up with width on one kind of machine: what was measured, and the law fitted."""

    job: str
    stage: str
    kind: str
    """Of machine: CPUs and processor, in words."""
    points: list[Point]
    law: Literal["amdahl", "usl", ""] = ""
    """Empty: too few points to tell; then all programs are treated alike."""
    serial: float = 0.0
    coherence: float = 0.0
    error: float = 0.0
    """Relative error of a point."""
    one_s: float = 0.0
    """Seconds of a chunk with one CPU, as fitted."""
    widths: list[float] = []
    speedup: list[float] = []
    low: list[float] = []
    high: list[float] = []
    """The fitted curve at `widths`, and its 95 % band."""
    runs: int = 0
    earlier_runs: int = 0
    """Of them such of the submitter's earlier jobs with the same program, image and parameters."""


class SpeedupList(Message, frozen=True, kw_only=True):
    speedups: list[SpeedupView]


class LoadSample(Message, frozen=True, kw_only=True):
    """A client's machine at one moment."""

    at: str
    """RFC 3339, UTC."""
    load: float
    """Load average over one minute, of the whole machine."""
    cpus_used: float = 0.0
    memory_used: int = 0
    """CPUs and bytes that our containers used together."""
    containers: int = 0
    """That computed."""


class LoadSeries(Message, frozen=True, kw_only=True):
    """About one sample a minute, the oldest first; none for times when the client was not heard of."""

    client: str
    cpus: int
    """Of its machine; 0: not known."""
    samples: list[LoadSample]


class ClientPage(Message, frozen=True, kw_only=True):
    clients: list[ClientView]
    next: str | None = None


class AllocationChange(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole allocation as it shall be, as in messages.Allocation: what is left out is as new."""

    containers: int
    cpus: float
    memory: int
    paused: bool = False
    disk: int = 0
    jobs: list[str] = []
    priority: Priority = "normal"
    policy: Policy = "fixed"
    shrink: Shrink = "drain"
    force: bool = False


class Forgiveness(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gives a client that was found wrong a fresh start; the reason stays in the audit log and on its page."""

    reason: str


class ImageRegistration(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Registers an uploaded `docker save` archive under a name; the pin is computed by the master."""

    name: str
    archive: str
    """SHA-256 of the archive, uploaded before."""
    size: int


class ImagePull(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks the master to pull an image from its registry; its tag is resolved once and pinned."""

    name: str
    """Such as `registry.example.org/team/tool:1.2`; also the name that jobs give."""
    platform: str = "linux/amd64"


class ImageView(Message, frozen=True, kw_only=True):
    pin: ImagePin
    archive: str
    size: int


class ImageList(Message, frozen=True, kw_only=True):
    images: list[ImageView]


class TokenRequest(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    owner: str
    uses: int = 100
    valid_hours: float = 24.0 * 30
    trusted: bool = False


class TokenAnswer(Message, frozen=True, kw_only=True):
    token: str
    link: str
    """The installer with this token filled in; whoever has the link may enrol."""
    command: str
    """The one command that a volunteer runs."""


class BlobStatus(Message, frozen=True, kw_only=True):
    digest: str
    offset: int
    """Bytes received so far."""
    complete: bool


class LoginLink(Message, frozen=True, kw_only=True):
    link: str


class Health(Message, frozen=True, kw_only=True):
    status: Literal["ok", "unavailable"]
    detail: str = ""
