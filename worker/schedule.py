"""The hours of a week in which a volunteer lends the machine, by its own clock. Pure.

`mon-fri 18:00-08:00,sat-sun` is a list of windows: days, times, or both. A window that ends before it begins goes on
into the next day. Without days it is every day's, without times the whole day's.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
WEEK = 7 * DAY
"""Minutes."""
_DAYS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?")
_TIMES = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


class BadHours(ValueError):
    """Hours that cannot be followed; the message says which part and why."""


@dataclass(frozen=True)
class Hours:
    """Windows as (start, length) in minutes, from Monday 00:00."""

    windows: tuple[tuple[int, int], ...]
    text: str = ""
    """As it was written."""

    def __str__(self) -> str:
        return self.text

    def open_at(self, moment: datetime) -> bool:
        """`moment` is local time, as are all here."""
        minute = _minute(moment)
        return any((minute - start) % WEEK < length for start, length in self.windows)

    def opens(self, moment: datetime) -> datetime:
        """When it is open next, seen from a moment at which it is not."""
        wait = min((start - _minute(moment)) % WEEK for start, _ in self.windows)
        return moment.replace(second=0, microsecond=0) + timedelta(minutes=wait)


def parse(text: str) -> Hours:
    """Raises BadHours."""
    parts = [part.strip() for part in text.lower().split(",")]
    if not any(parts):
        raise BadHours("it names no hours at all; leave the key out to lend the machine at any time")
    return Hours(tuple(window for part in parts for window in _windows(part)), text.strip())


def _windows(part: str) -> list[tuple[int, int]]:
    words = part.split()
    times = words.pop() if words and ":" in words[-1] else "00:00-24:00"
    if len(words) > 1 or (not words and not part):
        raise BadHours(f"{part!r} is not of the form mon-fri 18:00-08:00, sat-sun or 20:00-06:00")
    start, end = _times(times)
    length = end - start if end > start else end + DAY - start
    return [(day * DAY + start, length) for day in _days(words[0] if words else "mon-sun")]


def _days(text: str) -> list[int]:
    match = _DAYS.fullmatch(text)
    if match is None or any(day not in DAYS for day in match.groups() if day):
        raise BadHours(f"{text!r} is not a day or a range of days ({', '.join(DAYS)})")
    first = DAYS.index(match[1])
    last = DAYS.index(match[2] or match[1])
    return [(first + step) % 7 for step in range((last - first) % 7 + 1)]


def _times(text: str) -> tuple[int, int]:
    match = _TIMES.fullmatch(text)
    if match is None:
        raise BadHours(f"{text!r} is not a span of time such as 18:00-08:00")
    start, end = (int(match[n]) * 60 + int(match[n + 1]) for n in (1, 3))
    if start >= DAY or end > DAY or int(match[2]) > 59 or int(match[4]) > 59:
        raise BadHours(f"{text!r} has a time that no clock shows; they go from 00:00 to 24:00")
    if start == end:
        raise BadHours(f"{text!r} ends when it begins; write 00:00-24:00 for a whole day")
    return start, end


def _minute(moment: datetime) -> int:
    return moment.weekday() * DAY + moment.hour * 60 + moment.minute
