"""Who else is on this machine: other workers of ours, and how busy programs of others keep it.

A worker shows itself by the name of a socket in Linux' abstract namespace, on which nobody listens: any user's worker
can read it in /proc/net/unix, and it is gone with its process, however that ends. What somebody else could pretend
there makes us lend less, never more. Where there is no such file (Docker Desktop) a worker thinks itself alone.
"""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from . import defaults
from .defaults import NOBODY, Others

_PREFIX = "dockercomp-worker"
_SHOWN = re.compile(rf"@{_PREFIX}:1:([0-9a-f]+):(\d+):(\d{{1,9}}):(\d{{1,9}}):([ws])$", re.MULTILINE)
_MOST_SHARERS = 16
"""Believed, of workers that divide the default: a name costs nobody anything."""
LOOK_EVERY_S = 5.0
MINUTES_S = 300.0
"""Time constant of the mean of others' load: a build of a minute does not move the ceiling."""
_SWING = 0.25
"""Cores by which the load must fall below what is counted before less is counted."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Neighbours:
    """For one thread. `root` is where / is seen; `clock` counts seconds."""

    def __init__(self, label: str, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        """`label` tells this instance from others, in hexadecimal digits."""
        self._root, self._clock, self._label = root, clock, label
        self._shown: tuple[str, socket.socket] | None = None
        self._found, self._looked = NOBODY, float("-inf")
        self._load, self._steady, self._before = 0.0, 0, (0.0, 0.0)

    def show(self, cpus: float, memory: int, *, wished: bool) -> None:
        """Let other workers see what this one may use; `wished`: because its volunteer said so."""
        name = f"{_PREFIX}:1:{self._label}:{os.getpid()}:{cpus * 1000:.0f}:{memory // defaults.MIB}:{'ws'[not wished]}"
        if self._shown and self._shown[0] == name:
            return
        self.hide()
        own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            own.bind("\0" + name)
        except OSError:  # no such namespace here: then nobody sees us
            own.close()
            return
        self._shown = (name, own)

    def hide(self) -> None:
        if self._shown:
            self._shown[1].close()
        self._shown = None

    def look(self, our_cpus: float) -> Others:
        """What is beside us; `our_cpus` is what our containers keep busy now, in cores. Looks every few seconds."""
        now = self._clock()
        if now - self._looked >= LOOK_EVERY_S:
            self._follow_load(now, our_cpus)
            self._looked = now
            self._found = self._workers()
        return self._found

    def _workers(self) -> Others:
        lines = _text(self._root / "proc" / "net" / "unix")
        cpus, memory, sharers, shared = 0.0, 0, 0, 0.0
        for label, pid, millis, mib, how in set(_SHOWN.findall(lines)):
            if label == self._label and int(pid) == os.getpid():
                continue
            if how == "s":
                sharers, shared = sharers + 1, shared + int(millis) / 1000
            else:
                cpus, memory = cpus + int(millis) / 1000, memory + int(mib) * defaults.MIB
        self._steady = steady(max(0.0, self._load - cpus - shared), self._steady)
        return Others(cpus=cpus, memory=memory, sharers=min(sharers, _MOST_SHARERS), load=self._steady)

    def _follow_load(self, now: float, our_cpus: float) -> None:
        """A mean that begins at nothing, as our own start is no sign of what is usual here."""
        busy = _busy_seconds(_text(self._root / "proc" / "stat"))
        if busy is None:
            return
        (then, before), self._before = self._before, (now, busy)
        span = now - then
        if before and span > 0:
            others = max(0.0, (busy - before) / span - our_cpus)
            self._load += (others - self._load) * min(1.0, span / MINUTES_S)


def steady(load: float, before: int) -> int:
    """Whole cores of a load, which do not swing where it lies about a whole number."""
    return int(load) if load >= before + 1 or load < before - _SWING else before


def _busy_seconds(stat: str) -> float | None:
    """CPU seconds that all programs have used since the start, of /proc/stat: all but idle and iowait."""
    with contextlib.suppress(ValueError):
        fields = [int(word) for word in stat.split("\n", 1)[0].split()[1:9]]
        if len(fields) >= 5:
            return (sum(fields) - fields[3] - fields[4]) / _TICKS
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
