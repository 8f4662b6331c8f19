"""A run with an end: until a time, or for so many chunks, as batch systems and spot instances need it. Rules, no I/O.

Nothing is begun that would not end in time, as far as chunk times are known; what runs when the time comes is given
back, and every result is brought before the worker goes. Times are in seconds on the monotonic clock.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockercomp.protocol.messages import SYNC_LIMIT

RESERVE_S = 20.0
"""Before the end, for giving back what runs, bringing results and removing containers; a quarter of a short stint."""
CAREFUL = 1.25
"""Times its mean, a chunk is expected to take."""
PATIENCE_S = 300.0
"""Without an answer of the master, or of Docker, after which a stint gives up."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 3660 * 86400.0
_SPAN = re.compile(r"((?:\d+(?:\.\d+)?[smhd])+|\d+(?:\.\d+)?)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


class BadTime(ValueError):
    """A time that cannot be used; the message says which and what to write."""


def parse_until(text: str, now: datetime, environ: Mapping[str, str]) -> datetime:
    """When a stint ends: `18:00`, `2026-11-22T18:00` (with or without a zone), `+2h`, `+1h30m`, `+90` (seconds), or
    `-2m`, which is before the end of the Slurm job that this runs in (SLURM_JOB_END_TIME).

    `now` has a zone. Raises BadTime.
    """
    if text[:1] == "+":
        found = now + timedelta(seconds=_span(text))
    elif text[:1] == "-":
        found = _batch_end(text, now, environ) - timedelta(seconds=_span(text))
    elif match := _CLOCK.fullmatch(text):
        found = _next(now, *(int(part or 0) for part in match.groups()))
    else:
        found = _iso(text, now)
    if found <= now:
        raise BadTime(f"{text} is over already: it is {now:%Y-%m-%d %H:%M:%S} now")
    return found


def _span(text: str) -> float:
    match = _SPAN.fullmatch(text[1:])
    if match is None:
        raise BadTime(f"{text} is not a span of time; write such as {text[0]}2h, {text[0]}90m or {text[0]}120")
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", match[1])
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if seconds > _LONGEST_S:
        raise BadTime(f"{text} is longer than ten years")
    return seconds


def _batch_end(text: str, now: datetime, environ: Mapping[str, str]) -> datetime:
    ends = environ.get("SLURM_JOB_END_TIME", "")
    if not ends.isdigit():
        raise BadTime(
            f"{text} counts from the end of a Slurm job, and SLURM_JOB_END_TIME does not name one; give a time, such as"
            ' +2h, or in a job\'s script: --until "$(squeue -h -j $SLURM_JOB_ID -o %e)"'
        )
    return datetime.fromtimestamp(int(ends), now.tzinfo)


def _next(now: datetime, hour: int, minute: int, second: int) -> datetime:
    if hour > 23 or minute > 59 or second > 59:
        raise BadTime(f"{hour}:{minute:02} is a time that no clock shows")
    found = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    return found if found > now else found + timedelta(days=1)


def _iso(text: str, now: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except ValueError:
        raise BadTime(f"{text} is not a time; write 18:00, 2026-11-22T18:00, +2h, or -2m within a Slurm job") from None
    return found if found.tzinfo else found.replace(tzinfo=now.tzinfo)


@dataclass(frozen=True)
class Now:
    """What a stint is judged by."""

    done: int
    """Chunks that were computed, well or not."""
    waiting: int
    running: int
    expected: Sequence[float | None]
    """Seconds that a chunk of each known job takes; None where none has run here yet."""


@dataclass(frozen=True)
class Stint:
    """`ends`: when the worker is gone; None: when it is told to. `chunks`: so many are computed; None: any number."""

    ends: float | None = None
    chunks: int | None = None
    patience: float = float("inf")
    began: float = 0.0
    clock: Callable[[], float] = time.monotonic

    @property
    def bounded(self) -> bool:
        return self.ends is not None or self.chunks is not None

    @property
    def left(self) -> float:
        """Until what runs is given back."""
        if self.ends is None:
            return float("inf")
        return self.ends - min(RESERVE_S, (self.ends - self.began) / 4) - self.clock()

    @property
    def to_end(self) -> float:
        """Until the worker must be gone."""
        return float("inf") if self.ends is None else max(0.0, self.ends - self.clock())

    def fits(self, expected: float | None) -> bool:
        """Whether a chunk that is begun now is expected to end in time; where nothing is known it may."""
        return self.left > (0.0 if expected is None else CAREFUL * expected)

    def _fits_some(self, now: Now) -> bool:
        return any(self.fits(each) for each in now.expected) if now.expected else self.fits(None)

    def room(self, now: Now) -> int:
        """How many more chunks may be asked for."""
        if not self._fits_some(now):
            return 0
        return SYNC_LIMIT if self.chunks is None else max(0, self.chunks - now.done - now.waiting - now.running)

    def over(self, now: Now) -> str:
        """Why the stint is over, in a sentence; empty while it is not."""
        if self.chunks is not None and now.done >= self.chunks:
            return f"{now.done} chunks are done, as asked."
        if self.left <= 0:
            return "Its time is over."
        if not now.running and not self._fits_some(now):
            return "No chunk would end in the time that is left."
        return ""


@dataclass
class Standstill:
    """Whether nothing has moved for longer than `patience` seconds."""

    patience: float
    clock: Callable[[], float] = time.monotonic
    _seen: object = None
    _since: float = 0.0

    def holds(self, seen: object) -> bool:
        """`seen` is what would be another if something had moved since the last look."""
        if seen != self._seen:
            self._seen, self._since = seen, self.clock()
        return self.clock() - self._since > self.patience


ENDLESS = Stint()
