"""Whether a daemon of this DC_HOME runs, by the lock that it holds."""

from pathlib import Path

from dockercomp.machine.home import HomeInUseError, lock


def running_pid(home: Path) -> int | None:
    """The process id of the daemon of this DC_HOME; None where none runs."""
    path = home / "run" / "worker.lock"
    if not path.exists():
        return None
    try:
        lock(home, "worker").close()
    except HomeInUseError:
        content = path.read_text().strip()
        return int(content) if content.isdigit() else None
    return None
