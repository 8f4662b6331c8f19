"""DC_HOME/worker/status.json: what the daemon tells `dockercomp-worker status`, replaced whole when it has changed."""

from pathlib import Path

import msgspec

from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, ContainerReport, Message


class Status(Message, frozen=True, kw_only=True):
    """Times are seconds since the epoch."""

    state: str
    """`starting`, `working`, `idle`, `paused`, `offline` (the master is not reached) or `stopping`."""
    sentence: str = ""
    """What it is doing, or why it is idle."""
    pid: int = 0
    version: str = ""
    master: str = ""
    client: str = ""
    owner: str = ""
    held: int = 0
    running: int = 0
    results_waiting: int = 0
    results_sent: int = 0
    last_sync: float | None = None
    ceiling: Ceiling | None = None
    disk_used: int = 0
    network_used: int = 0
    """Bytes of the last 24 hours."""
    rules: list[str] = []
    """When the volunteer lets it work, a sentence each."""
    consent: list[str] = []
    """Whose work the volunteer lets run, and what jobs may have beyond the locked default, a sentence each."""
    allocation: Allocation | None = None
    applied: AppliedAllocation | None = None
    problems: list[str] = []
    """What is wrong here and how to mend it, a sentence each."""
    containers: list[ContainerReport] = []


def _path(home: Path) -> Path:
    return home / "worker" / "status.json"


def write(home: Path, status: Status) -> None:
    """Replace the file in one step; a reader never sees half of it. Not synced to disk: it is only for the eye."""
    path = _path(home)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(status))
    temporary.replace(path)


def read(home: Path) -> Status | None:
    """The last status; None where no daemon ever ran here."""
    try:
        return msgspec.json.decode(_path(home).read_bytes(), type=Status)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
