"""What a supervisor is asked to run and what it says of it: the two small JSON files under DC_HOME/run."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .home import write_private

State = Literal["running", "backoff", "stopped", "failed"]
"""`backoff`: ended, will be started again; `stopped`: ended as it was asked to; `failed`: said that its configuration
is wrong. The last two wait for a reload."""


@dataclass(frozen=True)
class Program:
    """One program to keep running. `env` is added to the supervisor's own environment; `log` takes both outputs."""

    name: str
    argv: tuple[str, ...]
    log: str
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    stop_signal: str = "SIGTERM"
    stop_timeout_s: float = 30.0
    """Seconds between the stop signal and SIGKILL."""
    restart: Literal["always", "on failure"] = "always"
    """`on failure`: exit code 0 means that someone asked it to stop."""


@dataclass(frozen=True)
class ProgramStatus:
    """`last_exit` is negative where a signal ended it; `since` (seconds since 1970) is when `state` began."""

    pid: int | None
    state: State
    restarts: int
    last_exit: int | None
    since: float


@dataclass(frozen=True)
class Status:
    pid: int
    """The supervisor's own process id."""
    revision: str
    """Which programs file it has applied."""
    programs: dict[str, ProgramStatus]


def lock_name(name: str) -> str:
    return f"{name}.supervisor"


def _programs_file(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.programs.json"


def _status_file(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.status.json"


def write_programs(home: Path, name: str, programs: Iterable[Program]) -> str:
    """Store what is wanted, readable by its owner only (environments hold secrets); returns the revision."""
    data = json.dumps({"programs": [asdict(program) for program in programs]}, indent=1).encode()
    write_private(_programs_file(home, name), data)
    return _revision(data)


def read_programs(home: Path, name: str) -> tuple[tuple[Program, ...], str]:
    """The programs wanted, in starting order, and the revision. Raises ValueError naming the file."""
    path = _programs_file(home, name)
    try:
        data = path.read_bytes()
        programs = tuple(_program(entry) for entry in json.loads(data)["programs"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: cannot be used: {error}") from error
    return programs, _revision(data)


def write_status(home: Path, name: str, status: Status) -> None:
    """Replace the status file in one step."""
    path = _status_file(home, name)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(status)), encoding="utf-8")
    temporary.replace(path)


def read_status(home: Path, name: str) -> Status | None:
    """What the file says, be it stale or not; None where there is none."""
    try:
        raw = json.loads(_status_file(home, name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    programs = {key: ProgramStatus(**entry) for key, entry in raw["programs"].items()}
    return Status(pid=raw["pid"], revision=raw["revision"], programs=programs)


def forget_status(home: Path, name: str) -> None:
    _status_file(home, name).unlink(missing_ok=True)


def _program(entry: dict[str, Any]) -> Program:
    return Program(**{**entry, "argv": tuple(entry["argv"])})


def _revision(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
