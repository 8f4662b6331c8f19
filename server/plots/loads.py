"""How busy a client's machine was: two plots over time, of its CPUs and of memory. Pure."""

from datetime import datetime
from typing import Literal

from dockercomp.protocol.orders import PlotSpec
from dockercomp.protocol.views import LoadSeries

from . import lines
from .drawing import Plot
from .points import Points, Series, as_csv
from .reading import CannotPlot

What = Literal["cpus", "memory"]
_GAP_S = 180.0
"""Silence that breaks the line: three samples."""
_MIB = 2**20


def draw(series: LoadSeries, what: What) -> Plot:
    """Raises CannotPlot where there is no sample."""
    if not series.samples:
        raise CannotPlot("has no sample yet: the first is taken within a minute")
    spec = _MEMORY if what == "memory" else _CPUS
    moments: list[str] = []
    columns: list[list[float | None]] = [[] for _ in spec.y]
    last: datetime | None = None
    for sample in series.samples:
        at = datetime.fromisoformat(sample.at.replace("Z", "+00:00"))
        if last is not None and (at - last).total_seconds() > _GAP_S:
            moments.append(sample.at)
            for column in columns:
                column.append(None)
        last = at
        moments.append(sample.at)
        values = [sample.memory_used / _MIB] if what == "memory" else [sample.load, sample.cpus_used]
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    points = Points("time", moments, [Series(name, values) for name, values in zip(spec.y, columns, strict=True)])
    return Plot(lines.draw(spec, points, zero=True), table(series), summary(series, what))


def table(series: LoadSeries) -> str:
    """The samples as CSV."""
    rows = [(each.at, each.load, each.cpus_used, each.memory_used, each.containers) for each in series.samples]
    return as_csv(("time", "load", "cpus_used", "memory_used", "containers"), rows)


_CPUS = PlotSpec(
    kind="line",
    title="How busy its CPUs are",
    y=["load average of the machine", "CPUs used by our containers"],
    x_label="UTC",
    y_label="CPUs",
)
_MEMORY = PlotSpec(kind="line", title="Memory used by our containers", y=["memory used"], x_label="UTC", y_label="MiB")

TITLES: dict[What, str] = {"cpus": _CPUS.title, "memory": _MEMORY.title}


def summary(series: LoadSeries, what: What) -> str:
    """What a plot shows, in one sentence without a stop, for those who cannot see it. There is at least one sample."""
    last = series.samples[-1]
    of = f" of {series.cpus} CPUs" if series.cpus else ""
    now = (
        f"memory used by our containers {last.memory_used / _MIB:,.0f} MiB"
        if what == "memory"
        else f"load average {last.load:.2f}{of}, {last.cpus_used:.2f} CPUs used by our containers"
    )
    return f"{len(series.samples):,} samples from {series.samples[0].at} to {last.at}; the last: {now}"
