"""A small supervisor for where systemd is not: `python -m dockercomp.machine.supervisor HOME NAME`.

One supervisor of a NAME runs per DC_HOME; it holds DC_HOME/run/<NAME>.supervisor.lock. Its programs end with it, also
when it is killed. Standard library only, so that `cleanup` can use it when nothing else is left.
"""

import argparse
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO

from .home import HomeInUseError, lock
from .programs import Program, ProgramStatus, Status, lock_name, read_status, write_programs
from .supervision import Supervision

__all__ = ["Program", "ProgramStatus", "Status", "SupervisorError", "holder", "reload", "start", "status", "stop"]

_POLL_S = 0.02
_LOCK_PATIENCE_S = 1.0


class SupervisorError(RuntimeError):
    """The supervisor did not do in time what it was asked; the message ends with the last lines of its log."""


def start(home: Path, name: str, programs: Iterable[Program], timeout: float = 30.0) -> int:
    """Start a detached supervisor; returns its process id once each program was started once.

    Raises HomeInUseError if one of this name runs, SupervisorError if it is not up within `timeout` seconds.
    """
    home = home.resolve()
    _refuse_second(home, name)
    revision = write_programs(home, name, programs)
    log = home / "log" / f"{name}.supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        subprocess.run(  # the daemon itself is a grandchild, so that nobody has to wait for it
            [sys.executable, "-m", __spec__.name if __spec__ else __name__, str(home), name, "--detach"],
            cwd=Path(__file__).resolve().parents[2],  # where -m finds us, installed or not
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )
    _wait(lambda: _has_applied(home, name, revision), timeout, f"the {name} supervisor is not up", log)
    found = status(home, name)
    if found is None:
        raise SupervisorError(f"the {name} supervisor ended at once{_tail(log)}")
    return found.pid


def stop(home: Path, name: str, timeout: float = 60.0) -> bool:
    """Stop the supervisor and its programs; True once it is gone (or never was), False after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    asked: int | None = None
    while _is_held(home, lock_name(name)):
        process = holder(home, lock_name(name))
        if process is not None and process != asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            asked = process
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def status(home: Path, name: str) -> Status | None:
    """What runs now, or None where no supervisor does: its lock decides, not the file that a killed one left."""
    process, found = holder(home, lock_name(name)), read_status(home, name)
    return found if found is not None and found.pid == process else None


def reload(home: Path, name: str, programs: Iterable[Program], timeout: float = 120.0) -> None:
    """Start what was added, stop what was taken out, restart what changed; returns when that is done.

    Raises SupervisorError if no supervisor runs or it takes longer than `timeout` seconds.
    """
    running = status(home, name)
    if running is None:
        raise SupervisorError(f"no {name} supervisor runs with DC_HOME={home}")
    revision = write_programs(home, name, programs)
    os.kill(running.pid, signal.SIGHUP)
    log = home / "log" / f"{name}.supervisor.log"
    _wait(lambda: _has_applied(home, name, revision), timeout, f"the {name} supervisor has not reloaded", log)


def main(argv: list[str] | None = None) -> int:
    """Run in the foreground (or detached, or only ask). Exit codes: 0, 1 not running or not stopped, 78 unusable."""
    parser = argparse.ArgumentParser(prog="supervisor", description="Keeps the programs of DC_HOME running.")
    parser.add_argument("home", type=Path, metavar="HOME")
    parser.add_argument("name", metavar="NAME")
    verb = parser.add_mutually_exclusive_group()
    verb.add_argument("--detach", action="store_true", help="run in the background")
    verb.add_argument("--start", action="store_true", help="start detached what standard input names (JSON)")
    verb.add_argument("--stop", action="store_true", help="stop the running one")
    verb.add_argument("--status", action="store_true", help="print the running one's status")
    options = parser.parse_args(argv)
    options.home = options.home.resolve()
    if options.start:
        entries = json.load(sys.stdin)["programs"]
        print(start(options.home, options.name, [Program(**entry) for entry in entries]))
        return 0
    if options.stop:
        return 0 if stop(options.home, options.name) else 1
    if options.status:
        found = status(options.home, options.name)
        print(json.dumps(asdict(found), indent=1) if found else "not running")
        return 0 if found else 1
    if options.detach and _in_parent():
        return 0
    return _run(options.home, options.name)


def _in_parent() -> bool:
    if os.fork():
        return True
    os.setsid()
    os.chdir("/")
    return False


def _run(home: Path, name: str) -> int:
    try:
        with _lock(home, name):
            Supervision(home, name).run()
    except (HomeInUseError, ValueError) as error:
        print(error, file=sys.stderr)
        return 78
    return 0


def _lock(home: Path, name: str) -> IO[str]:
    deadline = time.monotonic() + _LOCK_PATIENCE_S  # someone's look at the lock holds it for a moment
    while True:
        try:
            return lock(home, lock_name(name))
        except HomeInUseError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_S)


def _refuse_second(home: Path, name: str) -> None:
    process = holder(home, lock_name(name))
    if process is not None:
        raise HomeInUseError(f"a {name} supervisor already runs with DC_HOME={home} (process {process})")


def holder(home: Path, lock: str) -> int | None:
    """The process that holds DC_HOME/run/<lock>.lock now; None where nobody does, or has not yet written who it is."""
    return _written(home, lock) if _is_held(home, lock) else None


def _is_held(home: Path, lock: str) -> bool:
    try:
        with (home / "run" / f"{lock}.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _written(home: Path, lock: str) -> int | None:
    try:
        return int((home / "run" / f"{lock}.lock").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _has_applied(home: Path, name: str, revision: str) -> bool:
    found = status(home, name)
    return found is not None and found.revision == revision


def _wait(done: Callable[[], bool], timeout: float, complaint: str, log: Path) -> None:
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= deadline:
            raise SupervisorError(f"{complaint} after {timeout:g} s{_tail(log)}")
        time.sleep(_POLL_S)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:] if log.exists() else []
    return ":\n" + "\n".join(lines) if lines else "."


if __name__ == "__main__":
    sys.exit(main())
