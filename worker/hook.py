"""The volunteer's own policy: a program that is asked now and then whether to work. One loop.

Exit code 0 lets the worker work. Any other pauses it, and its first line of output is the reason. What cannot be asked
does not allow either: a program that is missing, unsafe, or takes too long pauses the worker, and the sentence says so.
"""

import contextlib
import errno
import os
import selectors
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

EVERY_S = 30.0
TIMEOUT_S = 10.0
_LONGEST = 200
"""Characters of a reason."""
_READ = 4096
"""Bytes of output that are looked at; the rest is let go by."""
_LOOK_S = 0.2
"""Until it is seen that a hook has ended whose output somebody still holds open."""
_MOST_LINKS = 40
"""That may follow each other on the way to a hook, as for the kernel."""
_END_S = 2.0
"""For ending a hook when the worker ends."""
_KEPT = ("PATH", "HOME", "LANG", "TZ", "USER", "TMPDIR")
"""What a hook gets of our environment: the enrolment token is none of its business."""


class Unusable(ValueError):
    """This program is not run; the message, after its path, says why and the way out."""


def ask(path: str, state: Mapping[str, str], timeout_s: float = TIMEOUT_S, stop: threading.Event | None = None) -> str:
    """Runs the hook; why not to work, empty where it may. `state` is added to its environment; `stop` ends it early."""
    stop = stop or threading.Event()
    environ = {key: os.environ[key] for key in _KEPT if key in os.environ} | dict(state)
    try:
        process = subprocess.Popen(
            [checked(Path(path))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environ,
            start_new_session=True,
        )
    except Unusable as error:
        return f"DC_HOOK={path} {error}"
    except OSError as error:
        return f"DC_HOOK={path} cannot be run: {error.strerror}; mend it, or take it out of the configuration"
    ends = time.monotonic() + timeout_s
    try:
        said = _first_line(process, ends, stop)
        code = process.wait(0.0 if stop.is_set() else max(0.0, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        return f"DC_HOOK={path} took longer than {timeout_s:g} s and counts as no; make it quicker, or take it out"
    finally:
        _end(process)
    if code == 0:
        return ""
    return said or f"DC_HOOK={path} ended with {f'code {code}' if code > 0 else f'signal {-code}'} and gave no reason"


def checked(path: Path) -> Path:
    """The program itself, behind all links. Raises Unusable where somebody else than we (or root) could change it."""
    try:
        program, facts = path.resolve(strict=True), [(place, place.lstat()) for place in _way(path)]
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unusable(f"cannot be used: {why}; mend the path, or take it out of the configuration") from error
    if not stat.S_ISREG(program.stat().st_mode) or not os.access(program, os.X_OK):
        raise Unusable("is not a program: chmod +x it, or take it out of the configuration")
    for place, found in facts:
        if _others_change(found):
            owner = "root" if os.geteuid() == 0 else "you or root"
            raise Unusable(f"is not run: {place} must belong to {owner} and be writable by nobody else (chmod go-w)")
    return program


def _way(path: Path) -> Iterator[Path]:
    """The program with every folder and link on the way: who may change one of them chooses what is run."""
    for _ in range(_MOST_LINKS):
        places = [*reversed(path.parents), path]
        link = next((place for place in places if place.is_symlink()), None)
        if link is None:
            yield from places
            return
        yield from places[: places.index(link) + 1]
        path = link.parent / link.readlink() / path.relative_to(link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _others_change(found: os.stat_result) -> bool:
    """Whether others than we and root may write there; in a folder such as /tmp nobody replaces another's file."""
    me = os.geteuid()
    if stat.S_ISLNK(found.st_mode):
        return found.st_uid not in (0, me)
    alone = me != 0 and found.st_gid == os.getegid() == me  # a group of the user's own, as Debian makes them
    writable = found.st_mode & (stat.S_IWOTH | (0 if alone else stat.S_IWGRP))
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    return found.st_uid not in (0, me) or bool(writable and not sticky)


def _first_line(process: "subprocess.Popen[bytes]", ends: float, stop: threading.Event) -> str:
    """What it says, read until it ends, its time does, or it is stopped."""
    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := ends - time.monotonic()) > 0 and not stop.is_set():
            if selector.select(min(left, _LOOK_S)):
                part = os.read(process.stdout.fileno(), _READ)
                if not part:
                    break
                output = (output + part)[:_READ]
            elif process.poll() is not None:
                break  # a child that it left behind holds the pipe
    line = output.decode("utf-8", errors="replace").strip().split("\n", 1)[0]
    return "".join(letter for letter in line if letter.isprintable())[:_LONGEST].strip()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The hook and whatever it started are gone afterwards."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@dataclass
class Hook:
    """Asks on a thread of its own, so that no hook holds up the worker. `follow` and `why` are for one thread."""

    state: Callable[[], Mapping[str, str]] = dict
    """What the hook is told of the worker, as variables."""
    every_s: float = EVERY_S
    timeout_s: float = TIMEOUT_S
    _path: str = ""
    _answer: tuple[str, str] = ("", "")
    """The path that was asked, and what it answered."""
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def follow(self, path: str) -> None:
        """Ask this program from now on; none if it is empty. At once, where it is another one."""
        if path != self._path:
            self._path = path
            self._wake.set()
        if path and self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="hook", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Ask no more; a hook that runs is ended, so that it does not outlive the worker."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_END_S)

    @property
    def why(self) -> str:
        """Why not to work; empty where the hook allows it, or there is none."""
        path, (asked, answer) = self._path, self._answer
        if not path:
            return ""
        return answer if asked == path else f"asks DC_HOOK={path} whether it may work"

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            path = self._path
            if path:
                self._answer = (path, ask(path, self.state(), self.timeout_s, self._stop))
            if self._stop.is_set():
                return
            self._wake.wait(self.every_s if path == self._path else 0.0)
