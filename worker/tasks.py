"""What the daemon asks of a container and what comes back: the seam between leasing and running. No I/O."""

from dataclasses import dataclass, field
from pathlib import Path

from dockercomp.protocol.messages import Failure, Piece


@dataclass(frozen=True)
class Task:
    """One lease made ready to run: its input is here."""

    lease: str
    stage: int
    """0 map, 1 and on reduce: see orders.stage_of."""
    index: int
    input: bytes | Path
    """The chunk's bytes, or a file that holds them (pieces one after the other); b"" for a range."""
    pieces: tuple[Piece, ...] | None = None
    sorted: bool = False
    """The input is lines that were sorted: one stream, whatever it was made of."""
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What running a task gave: a result (digest, size, payload) or a failure, never both."""

    failure: Failure | None = None
    digest: str = ""
    """SHA-256 of the payload, hex."""
    size: int = 0
    payload: bytes | Path = b""
    """In memory up to INLINE_LIMIT, else a file in the spool that the receiver owns and deletes."""
    input_digest: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_peak: int = 0
    cpus_limit: float = 0.0
    memory_limit: int = 0
    """The limits in force at its end, as the cgroup says them; 0 where it could not be read."""
    width: float = 0.0
    """See ResultReport.width."""
    log: str = ""
    """Of a result: the first and last words beside it."""
    refuse: str = ""
    """Why no chunk of this job should run here any more; the failure is nobody's fault then."""
    container_dead: bool = False
    """The container cannot take another task (killed, or its runner is gone)."""


@dataclass(frozen=True)
class Size:
    """What a container is given. Units: cores, bytes."""

    cpus: float
    memory: int
    scratch: int
    """Size of its tmpfs; the cgroup's memory limit is memory + scratch."""
    weight: int = 1024
    """Against other containers, on the scale of cgroup v1's cpu.shares, 2 to 262144 (cgroup v2's is translated)."""
    cpuset: str = ""
    """The CPUs that it may use, as Linux lists them: `0-3,8`. Empty: any."""
    width: float = 0.0
    """CPUs that its program should use, which it is told. 0: `cpus`."""
    timed_as: float = 0.0
    """The width that a chunk's time counts for (Outcome.width) where it is the same from begin to end. 0: it tells
    nothing."""

    @property
    def memory_limit(self) -> int:
        return self.memory + self.scratch


@dataclass(frozen=True)
class Reading:
    """A container's limits and use as read from its cgroup; None where unreadable."""

    cpus_limit: float | None = None
    memory_limit: int | None = None
    cpu_seconds: float | None = None
    memory_used: int | None = None
    oom_kills: int | None = None
    weight: float | None = None
    """On the scale of Size.weight."""
    cpuset: str | None = None
    frozen: bool | None = None
    source: str = ""
    """`cgroup v1`, `cgroup v2` or `runner`."""


@dataclass(frozen=True)
class EngineFacts:
    """What the Docker Engine says of itself."""

    version: str
    platform: str
    """Such as `linux/amd64`."""
    cgroup: str
    """`v1` or `v2`."""
    rootless: bool
    cpus: int
    memory: int
    storage: str = ""
    warnings: tuple[str, ...] = field(default=())
    bridge_firewall: bool = False
    """Whether it has a bridge, whose traffic the host's firewall sees."""
    limits: bool = True
    """Whether it says that it can limit CPU and memory; what it really does is read back."""
    pins: bool = True
    """Whether it says that it can hold a container to certain CPUs; one without root often cannot."""
