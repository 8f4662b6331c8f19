"""What the machine's owner is doing beside us, read from files that need no desktop and no rights.

Somebody uses the machine where a terminal (/dev/pts, /dev/tty1 …) or a keyboard or mouse of the i8042 kind
(/proc/interrupts) had input, where logind says that a session is not idle, or where others than we keep more than a
quarter of the CPUs busy. USB keyboards at a desktop are seen through logind alone.
"""

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

BUSY_SHARE = 0.25
"""Of all CPUs, used by others: more is use."""
_WINDOW_S = 30.0
"""The load of others is judged over so many seconds: a short burst is no use."""
_LOGIND_EVERY_S = 10.0
_AHEAD_S = 60.0
"""A file's time further ahead of the clock was set by a clock that was wrong."""
_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE_FIELDS = (3, 4)
"""Of the line `cpu` in /proc/stat: idle and iowait; the time of guests (9, 10) is counted in others."""


@dataclass(frozen=True)
class Use:
    """How long ago, in seconds, somebody used the machine, and what showed it."""

    ago_s: float
    by: str


class Lookout:
    """Remembers what must be compared: interrupts and CPU times. For one thread. `root` is where / is seen.

    `clock` is for what is remembered here, `wall` for the times of files.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.root, self._clock, self._wall = root, clock, wall
        self._key_presses: int | None = None
        self._pressed = self._loaded = self._session = float("-inf")
        self._loads: deque[tuple[float, float, float]] = deque()
        self._asked_logind = float("-inf")

    def last_use(self, our_cpus: float) -> Use:
        """`our_cpus` is what we ourselves keep busy now, in cores."""
        now = self._clock()
        self._look_at_keys(now)
        self._look_at_load(now, our_cpus)
        self._ask_logind(now)
        ago = {
            "a terminal": self._terminals(),
            "keyboard or mouse": now - self._pressed,
            "programs of others": now - self._loaded,
            "a session": now - self._session,
        }
        by = min(ago, key=lambda name: ago[name])
        return Use(ago[by], by)

    def on_battery(self) -> bool:
        """Whether a battery feeds the machine, as /sys/class/power_supply tells."""
        supplies = list(self._supplies())
        if not any(kind == "Battery" for kind, _ in supplies):
            return False
        mains = [state for kind, state in supplies if kind != "Battery"]
        return "1" not in mains if mains else ("Battery", "Discharging") in supplies

    def _supplies(self) -> Iterator[tuple[str, str]]:
        """Kind and state (online, or charging) of each; a mouse's own battery does not count."""
        for folder in sorted(self.root.glob("sys/class/power_supply/*")):
            kind = _text(folder / "type")
            if kind == "Battery" and _text(folder / "scope") != "Device":
                yield kind, _text(folder / "status")
            elif kind in ("Mains", "USB"):
                yield kind, _text(folder / "online")

    def _terminals(self) -> float:
        """Seconds since the last input at any terminal; the kernel notes it to about eight seconds."""
        places = [*self.root.glob("dev/pts/[0-9]*"), *self.root.glob("dev/tty[0-9]*")]
        wall = self._wall()
        ago = (wall - _accessed(place) for place in places)
        return min((max(0.0, seconds) for seconds in ago if seconds >= -_AHEAD_S), default=float("inf"))

    def _look_at_keys(self, now: float) -> None:
        lines = _text(self.root / "proc" / "interrupts").splitlines()
        counts = [word for line in lines if line.endswith("i8042") for word in line.split()[1:] if word.isdigit()]
        presses = sum(map(int, counts))
        if self._key_presses is not None and presses != self._key_presses:
            self._pressed = now
        self._key_presses = presses

    def _look_at_load(self, now: float, our_cpus: float) -> None:
        """Over the window, what all kept busy less what we did."""
        fields = [int(word) for word in _text(self.root / "proc" / "stat").split("\n", 1)[0].split()[1:9]]
        if not fields:
            return
        busy = sum(ticks for place, ticks in enumerate(fields) if place not in _IDLE_FIELDS) / _TICKS
        before = self._loads[-1] if self._loads else (now, busy, 0.0)
        others = max(0.0, busy - before[1] - our_cpus * max(0.0, now - before[0]))
        self._loads.append((now, busy, others))
        while len(self._loads) > 1 and self._loads[1][0] <= now - _WINDOW_S:
            self._loads.popleft()
        span = now - self._loads[0][0]
        cores, others_s = os.cpu_count() or 1, sum(load for *_, load in list(self._loads)[1:])
        if span >= _WINDOW_S / 2 and others_s > BUSY_SHARE * cores * span:
            self._loaded = now

    def _ask_logind(self, now: float) -> None:
        if now - self._asked_logind < _LOGIND_EVERY_S or not (self.root / "run/systemd/system").is_dir():
            return
        self._asked_logind = now
        command = ["loginctl", "show-session", "--property=IdleHint"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
        except (OSError, subprocess.SubprocessError):
            return
        if "IdleHint=no" in said:
            self._session = now


def _accessed(place: Path) -> float:
    try:
        return place.stat().st_atime
    except OSError:
        return float("-inf")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
