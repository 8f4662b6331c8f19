"""The supervisor's loop: start in order, restart with backoff, stop in reverse. One thread, woken by signals."""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from .programs import Program, ProgramStatus, State, Status, forget_status, read_programs, write_status

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_S = 30.0
"""A program that lived so long starts again with the first delay."""
WRONG_CONFIGURATION = (76, 77, 78)
"""Exit codes (EX_PROTOCOL, EX_NOPERM, EX_CONFIG) that a restart cannot mend."""
CANNOT_EXECUTE = 127
LOG_LIMIT = 20 * 2**20
LOG_KEPT = 2**20
LOG_CHECK_S = 10.0
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def _prctl() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None


class Child:
    """One program and the process that runs it now."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.state: State = "backoff"
        self.restarts = 0
        self.last_exit: int | None = None
        self.since = time.time()
        self.delay = FIRST_DELAY_S
        self.due = 0.0
        self._started = 0.0

    def status(self) -> ProgramStatus:
        pid = self.process.pid if self.process else None
        return ProgramStatus(pid, self.state, self.restarts, self.last_exit, self.since)

    def start(self) -> None:
        """Start the process; one that cannot be executed counts as exited with 127."""
        self._started = time.monotonic()
        try:
            self.process = _spawn(self.program)
        except OSError as error:
            say(f"{self.program.name}: cannot be started: {error}")
            self._ended(CANNOT_EXECUTE)
        else:
            self._enter("running")

    def restart(self) -> None:
        self.restarts += 1
        self.start()

    def reap(self) -> bool:
        """Notice that the process ended; True if it did."""
        if self.process is None:
            return False
        if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        # While it is not reaped its group's number cannot be anyone else's: end what it left behind.
        _signal_group(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self.process = None
        say(f"{self.program.name}: ended with {code}")
        self._ended(code)
        return True

    def stop(self) -> None:
        """End the process with its stop signal, and its whole group by force after its time."""
        if self.process is None:
            return
        self.process.send_signal(signal.Signals[self.program.stop_signal])
        try:
            self.process.wait(self.program.stop_timeout_s)
        except subprocess.TimeoutExpired:
            say(f"{self.program.name}: did not stop within {self.program.stop_timeout_s:g} s, killed")
        _signal_group(self.process.pid, signal.SIGKILL)
        self.last_exit = self.process.wait()
        self.process = None

    def _ended(self, code: int) -> None:
        self.last_exit = code
        if time.monotonic() - self._started >= STEADY_S:
            self.delay = FIRST_DELAY_S
        self.due = time.monotonic() + self.delay
        self.delay = min(2 * self.delay, LONGEST_DELAY_S)
        self._enter(self._after(code))

    def _after(self, code: int) -> State:
        if code in WRONG_CONFIGURATION:
            return "failed"
        return "stopped" if code == 0 and self.program.restart == "on failure" else "backoff"

    def _enter(self, state: State) -> None:
        self.state, self.since = state, time.time()


class Supervision:
    """Runs what DC_HOME/run/<name>.programs.json names until SIGTERM or SIGINT; SIGHUP reads it again."""

    def __init__(self, home: Path, name: str) -> None:
        self._home, self._name = home, name
        self._children: dict[str, Child] = {}
        self._revision = ""
        self._signals: set[int] = set()
        self._logs_checked = 0.0

    def run(self) -> None:
        """Returns when every program has stopped. Raises ValueError where the programs file cannot be used."""
        with _wakeups(self._note) as wakeup:
            self._apply()
            while not self._signals & {signal.SIGTERM, signal.SIGINT}:
                if signal.SIGHUP in self._signals:
                    self._signals.discard(signal.SIGHUP)
                    self._reload()
                self._turn()
                if select.select([wakeup], [], [], self._pause())[0]:
                    wakeup.recv(4096)
            self._stop()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.add(number)

    def _turn(self) -> None:
        changed = [child for child in self._children.values() if child.reap()]
        for child in self._children.values():
            if child.state == "backoff" and child.due <= time.monotonic():
                child.restart()
                changed.append(child)
        if changed:
            self._tell()
        if time.monotonic() - self._logs_checked >= LOG_CHECK_S:
            self._logs_checked = time.monotonic()
            for child in self._children.values():
                shorten(Path(child.program.log))

    def _pause(self) -> float:
        waits = [child.due - time.monotonic() for child in self._children.values() if child.state == "backoff"]
        return max(0.0, min([LOG_CHECK_S, *waits]))

    def _reload(self) -> None:
        try:
            self._apply()
        except ValueError as error:
            say(str(error))

    def _apply(self) -> None:
        """Stop what is no longer wanted as it is (last started first), start what is wanted and does not run."""
        programs, revision = read_programs(self._home, self._name)
        wanted = {program.name: program for program in programs}
        for name, child in reversed(list(self._children.items())):
            if wanted.get(name) != child.program or child.state in ("failed", "stopped"):
                child.stop()
                del self._children[name]
        kept, self._children = self._children, {}
        for name, program in wanted.items():
            self._children[name] = kept.get(name) or Child(program)
            if name not in kept:
                self._children[name].start()
        self._revision = revision
        self._tell()

    def _stop(self) -> None:
        for name in reversed(list(self._children)):
            self._children.pop(name).stop()
            self._tell()
        forget_status(self._home, self._name)

    def _tell(self) -> None:
        programs = {name: child.status() for name, child in self._children.items()}
        write_status(self._home, self._name, Status(os.getpid(), self._revision, programs))


def shorten(log: Path) -> None:
    """Cut a log over LOG_LIMIT down to its tail in place: its writer appends, so it goes on without reopening."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size <= LOG_LIMIT:
            return
        with log.open("r+b") as file:
            file.seek(-LOG_KEPT, os.SEEK_END)
            tail = file.read()
            file.truncate(0)
        with log.open("ab") as file:
            file.write(tail[tail.find(b"\n") + 1 :])


def say(message: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), message, file=sys.stderr, flush=True)


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    Path(program.log).parent.mkdir(parents=True, exist_ok=True)
    supervisor, prctl = os.getpid(), _prctl()

    def die_with_us() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != supervisor:
                os._exit(0)

    with open(program.log, "ab") as log:  # noqa: PTH123  (a plain O_APPEND file)
        return subprocess.Popen(
            program.argv,
            cwd=program.cwd,
            env={**os.environ, **program.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_us,  # noqa: PLW1509  (one thread only)
        )


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


@contextlib.contextmanager
def _wakeups(note: Callable[[int, FrameType | None], None]) -> Iterator[socket.socket]:
    """A socket that becomes readable at each signal, so that none can slip in between a look and the wait."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield reader
        finally:
            # Else the next signal would write into whatever gets the socket's number, another's connection perhaps.
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
