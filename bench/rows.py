"""The rows that every benchmark prints and writes: medians with their spread, never a single run."""

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Row:
    system: str
    variant: str
    metric: str
    unit: str
    median: float
    min: float
    max: float
    runs: int


@dataclass(frozen=True)
class Measured:
    """What a benchmark gives that has more to show than its rows. `files`: texts to write beside them, by suffix."""

    rows: list[Row]
    files: Mapping[str, str] = field(default_factory=dict)


def row(system: str, variant: str, metric: str, unit: str, values: Sequence[float], *, digits: int = 3) -> Row:
    """The row of one figure measured several times, rounded to so many digits behind the point."""
    rounded = [round(value, digits) for value in values]
    middle = round(statistics.median(rounded), digits)
    return Row(system, variant, metric, unit, middle, min(rounded), max(rounded), len(rounded))


def machine() -> dict[str, object]:
    """Where it was measured."""
    return {
        "cpus": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def show(rows: Sequence[Row]) -> None:
    """Print a table."""
    for found in rows:
        name = f"{found.system:<14}{found.variant:<26} {found.metric:<16}"
        print(f"{name}{_figure(found.median):>12} {found.unit:<10}{_figure(found.min)} … {_figure(found.max)}")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(path: Path, bench: str, rows: Sequence[Row], files: Mapping[str, str] | None = None) -> None:
    """The file that others read, and `files` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"bench": bench, "machine": machine(), "rows": [asdict(found) for found in rows]}
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    for suffix, text in (files or {}).items():
        path.with_suffix(suffix).write_text(text, encoding="utf-8")
