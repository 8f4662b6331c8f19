"""What scientists and admins send and see over HTTP (JSON)."""

from typing import Literal

from .messages import Allocation, AppliedAllocation, Ceiling, ContainerReport, Machine, Message
from .orders import ImagePin, JobSpec

JobState = Literal["running", "completed", "failed", "cancelled"]
ChunkState = Literal["open", "accepted", "failed", "cancelled"]


class InputFile(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One uploaded input. `name` is its path as the program sees it (files split)."""

    name: str
    digest: str
    size: int


class SubmitRequest(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job: its specification, the digest of its folder's tar (uploaded before), and its inputs (uploaded before)."""

    spec: JobSpec
    program: str = ""
    inputs: list[InputFile] = []


class StageView(Message, frozen=True, kw_only=True):
    name: Literal["map", "reduce"]
    chunks: int
    """Chunks in all."""
    issued: int
    """Chunks handed out at least once."""
    accepted: int
    """Chunks with a canonical result."""


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


class JobPage(Message, frozen=True, kw_only=True):
    jobs: list[JobView]
    next: str | None = None
    """Cursor of the next page."""


class ReplicaView(Message, frozen=True, kw_only=True):
    client: str
    state: str
    digest: str = ""
    failure: str = ""
    log_head: str = ""
    log_tail: str = ""


class ChunkView(Message, frozen=True, kw_only=True):
    id: str
    stage: Literal["map", "reduce"]
    index: int
    state: ChunkState
    digest: str | None = None
    size: int | None = None
    replicas: list[ReplicaView] = []


class ChunkPage(Message, frozen=True, kw_only=True):
    chunks: list[ChunkView]
    next: str | None = None


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


class ClientPage(Message, frozen=True, kw_only=True):
    clients: list[ClientView]
    next: str | None = None


class AllocationChange(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    containers: int
    cpus: float
    memory: int
    paused: bool = False


class ImageRegistration(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Registers an uploaded `docker save` archive under a name; the pin is computed by the master."""

    name: str
    archive: str
    """SHA-256 of the archive, uploaded before."""
    size: int


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
