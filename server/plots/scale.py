"""Numbers to pixels, and the round numbers that an axis is marked with. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .reading import CannotPlot

_ROUND = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """The values [low, high] onto the pixels [start, stop], which may run backwards."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def extent(values: Iterable[float | None], *, zero: bool = False) -> tuple[float, float]:
    """The least and the largest value, never the same; with `zero` they enclose it. Raises CannotPlot where they are
    too far apart for arithmetic."""
    known = [value for value in values if value is not None] + ([0.0] if zero else [])
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high - low <= max(abs(low), abs(high)) * 1e-12 + 1e-300:
        low, high = (low - (abs(low) or 1) * 0.5, high + (abs(high) or 1) * 0.5) if not zero else (low, low + 1)
    if not math.isfinite((high - low) * 4):
        raise CannotPlot("has numbers too far apart to be drawn")
    return low, high


def step_of(low: float, high: float, about: int) -> float:
    """The round number by which an axis with about so many marks goes on."""
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in _ROUND if m * power >= rough * 0.999), 10 * power) or rough


def ticks(low: float, high: float, about: int = 6) -> list[Tick]:
    """Round numbers within [low, high]."""
    step = step_of(low, high, about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    power = _power(max(abs(low), abs(high)), step)
    marks = range(first, min(last, first + 4 * about + 4) + 1)
    return [Tick(n * step, worded(n * step, step, power)) for n in marks]


def rounded_out(low: float, high: float, about: int = 6) -> tuple[float, float]:
    """[low, high] widened to the next round numbers, so that the axis ends with a mark."""
    step = step_of(low, high, about)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def worded(value: float, step: float, power: int | None = None) -> str:
    """A number with no more digits than `step` needs: `0.25`, `1,500,000`, `3×10⁸`; in tens of `power`, if given."""
    if abs(value) < abs(step) * 1e-6:
        return "0"
    power = _power(abs(value), step) if power is None else power
    times = f"×10{str(power).translate(_SUPERSCRIPT)}" if power else ""
    value, step = value / 10.0**power, step / 10.0**power
    decimals = 0
    while decimals < 7 and abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6 * step * 10**decimals:
        decimals += 1
    return f"{value:,.{decimals}f}{times}".replace("-", "−")


def _power(largest: float, step: float) -> int:
    """The power of ten to take out of numbers up to `largest`; 0 where they are written in full."""
    return math.floor(math.log10(largest)) if largest >= 1e7 or abs(step) < 1e-5 else 0


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


# --- times -----------------------------------------------------------------------------------------------------------

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    (1, "%H:%M:%S"), (5, "%H:%M:%S"), (15, "%H:%M:%S"), (30, "%H:%M:%S"),
    (_MINUTE, "%H:%M"), (5 * _MINUTE, "%H:%M"), (15 * _MINUTE, "%H:%M"), (30 * _MINUTE, "%H:%M"),
    (_HOUR, "%b %d %H:%M"), (3 * _HOUR, "%b %d %H:%M"), (6 * _HOUR, "%b %d %H:%M"), (12 * _HOUR, "%b %d %H:%M"),
    (_DAY, "%Y-%m-%d"), (2 * _DAY, "%Y-%m-%d"), (7 * _DAY, "%Y-%m-%d"), (14 * _DAY, "%Y-%m-%d"),
)  # fmt: skip
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def seconds_of(moment: str) -> float | None:
    """An ISO 8601 date or time as seconds since 1970; None where it is none. Without a zone it is UTC."""
    if len(moment) < 7 or not moment[:4].isdigit() or moment[4] != "-":
        return None
    try:
        found = datetime.fromisoformat(f"{moment}-01" if len(moment) == 7 else moment)
    except ValueError:
        return None
    return ((found if found.tzinfo else found.replace(tzinfo=timezone.utc)) - _EPOCH).total_seconds()


def time_ticks(low: float, high: float, about: int = 6) -> list[Tick]:
    """Round times within [low, high], in seconds since 1970."""
    rough = (high - low) / about
    for step, pattern in _STEPS:
        if step >= 0.8 * rough:
            first = math.ceil(low / step)
            return [_tick(n * step, pattern) for n in range(first, math.floor(high / step) + 1)]
    months = next((each for each in _MONTHS if each * 30.4 * _DAY >= rough), _MONTHS[-1])
    return _month_ticks(low, high, months)


def _tick(seconds: float, pattern: str) -> Tick:
    return Tick(seconds, (_EPOCH + timedelta(seconds=seconds)).strftime(pattern))


def _month_ticks(low: float, high: float, every: int) -> list[Tick]:
    found: list[Tick] = []
    month = (_EPOCH + timedelta(seconds=low)).year * 12 // every * every
    while month < 10_000 * 12:
        year, within = divmod(month, 12)
        month += every
        if year < 1:
            continue
        at = (datetime(year, within + 1, 1, tzinfo=timezone.utc) - _EPOCH).total_seconds()
        if at > high:
            break
        if at >= low:
            found.append(Tick(at, f"{year:04d}" if every >= 12 else f"{year:04d}-{within + 1:02d}"))
    return found
