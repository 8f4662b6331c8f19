"""Numbers and times as people read them. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dockercomp.protocol.stated import how_wrong
from dockercomp.protocol.views import StageView

MIB, GIB = 2**20, 2**30
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float | None) -> str:
    """Bytes: `512 MiB`, `1.5 GiB`; a dash where unknown."""
    if count is None:
        return "—"
    unit = 0
    while abs(count) >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.3g} {_UNITS[unit]}" if count < 1000 else f"{count:.0f} {_UNITS[unit]}"


def cpus(count: float | None) -> str:
    """Cores with at most two decimals; a dash where unknown."""
    return "—" if count is None else f"{count:.2f}".rstrip("0").rstrip(".")


def number(count: float) -> str:
    """With thousands set apart: `336,776`."""
    return f"{count:,.0f}" if count == int(count) or count >= 100 else f"{count:,.1f}"


def ago(seconds: float) -> str:
    """How long ago; all that is recent reads the same, so that a page that shows it need not change each second."""
    if seconds < 15:
        return "just now"
    for limit, unit in ((60, "s"), (3600, "min"), (86400, "h")):
        if seconds < limit:
            step = 5 if unit == "s" else 1
            return f"{int(seconds / {'s': 1, 'min': 60, 'h': 3600}[unit] // step * step)} {unit} ago"
    return f"{int(seconds // 86400)} d ago"


def seconds(count: float) -> str:
    """A duration: `0.25 s`, `42 s`, `3 min`, `2.5 h`, `3 d`."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (36 * 3600, 3600, "h")):
        if count < limit:
            return f"{count / size:.2g} {unit}" if count / size < 10 else f"{count / size:.0f} {unit}"
    return f"{count / 86400:.2g} d" if count < 10 * 86400 else f"{count / 86400:.0f} d"


def later(count: float) -> str:
    """How long after something else: `0.4 s later`; what took no time that counts happened `at once`."""
    return "at once" if count < 0.05 else f"{seconds(count)} later"


def between(bounds: tuple[float, float]) -> str:
    """A range of durations: `about 2 min to 5 min`."""
    low, high = (seconds(float(f"{bound:.1g}") if bound < 90 else bound) for bound in bounds)
    return f"about {high}" if low == high else f"about {low} to {high}"


def when(moment: str) -> str:
    """An RFC 3339 time as `2026-11-21 07:43 UTC`; a dash where unknown."""
    if not moment:
        return "—"
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).strftime("%Y-%m-%d %H:%M UTC")


def percent(stage: StageView) -> str:
    """Accepted chunks of a stage; never 100 % before it is complete."""
    return f"{int(100 * stage.accepted / max(1, stage.chunks))} %"


FILTERS: dict[str, Callable[..., Any]] = {
    "size": size,
    "cpus": cpus,
    "number": number,
    "ago": ago,
    "when": when,
    "percent": percent,
    "seconds": seconds,
    "later": later,
    "between": between,
    "how_wrong": how_wrong,
}
