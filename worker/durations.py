"""Spans of time as people write them: `90`, `90s`, `30m`, `2h` or `1d`. Pure."""

import math

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 10 * 366 * 86400.0


class BadDuration(ValueError):
    """Not a span of time; the message says what to write."""


def parse_duration(text: str) -> float:
    """Seconds. Raises BadDuration."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST_S:
        raise BadDuration(f"{text!r} is not a duration; write such as 30m, 2h or 1d")
    return seconds
