"""Histograms: values counted in bins of one width. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from dockercomp.protocol.orders import PlotSpec

from . import axes, svg
from .points import Series, as_csv
from .scale import Scale, Tick, extent, rounded_out, ticks

MOST_BINS = 500


@dataclass(frozen=True)
class Bins:
    names: list[str]
    edges: list[float]
    """One more than there are bins."""
    counts: list[list[int]]
    """For each series, of each bin. A value at an edge lies in the bin above, the largest in the last."""


def count(series: Sequence[Series], bins: int) -> Bins:
    """Raises CannotPlot where the values are too far apart."""
    bins = min(max(bins, 1), MOST_BINS)
    low, high = extent(value for each in series for value in each.values)
    edges = [low + (high - low) * n / bins for n in range(bins)] + [high]
    counts = [[0] * bins for _ in series]
    for each, counted in zip(series, counts, strict=True):
        for value in each.values:
            if value is not None:
                counted[min(max(bisect_right(edges, value) - 1, 0), bins - 1)] += 1
    return Bins([each.name for each in series], edges, counts)


def draw(spec: PlotSpec, bins: Bins) -> tuple[str, str, str]:
    """The picture, its counts as CSV, and what it shows."""
    low, high = rounded_out(*extent((float(n) for each in bins.counts for n in each), zero=True))
    marks = [tick for tick in ticks(low, high) if tick.at == int(tick.at)]
    drawn, top = axes.head(spec.title, bins.names)
    x_label, y_label = spec.x_label or bins.names[0], spec.y_label or "count"
    area = axes.area_for(top, marks, x_label=x_label, y_label=y_label)
    scale = Scale(low, high, area.bottom, area.top)
    across = Scale(bins.edges[0], bins.edges[-1], area.left, area.right)
    drawn += axes.upright(area, scale, marks, y_label)
    for number, counted in enumerate(bins.counts):
        drawn += _steps(bins, counted, across, scale, axes.colour(number), several=len(bins.counts) > 1)
    below: list[Tick] = ticks(bins.edges[0], bins.edges[-1], 8)
    drawn += axes.level(area, across, below, x_label)
    total = sum(map(sum, bins.counts))
    summary = f"A histogram of {total:,} values from {bins.edges[0]:g} to {bins.edges[-1]:g}."
    rows = zip(bins.edges, bins.edges[1:], *bins.counts)  # noqa: B905  (one more edge than bins)
    table = as_csv(["from", "to", *(bins.names if len(bins.names) > 1 else ["count"])], rows)
    return svg.document(axes.WIDTH, axes.HEIGHT, spec.title, summary, drawn), table, summary


def _steps(bins: Bins, counted: Sequence[int], across: Scale, scale: Scale, colour: str, *, several: bool) -> list[str]:
    """Filled steps; of several series also outlined, so that each is seen through the others."""
    drawn, base = [], scale.at(0)
    gap = 0.0 if several or len(counted) > 120 else 1.0
    for place, number in enumerate(counted):
        x, right, y = across.at(bins.edges[place]), across.at(bins.edges[place + 1]), scale.at(number)
        told = f"{bins.edges[place]:g} to {bins.edges[place + 1]:g}: {number:,}"
        opacity = 0.35 if several else None
        drawn.append(svg.rect(x, y, right - x - gap, base - y, fill=colour, fill_opacity=opacity, told=told))
    if several:
        path = f"M{across.at(bins.edges[0]):.1f} {base:.1f}"
        for place, number in enumerate(counted):
            path += f"V{scale.at(number):.1f}H{across.at(bins.edges[place + 1]):.1f}"
        drawn.append(svg.element("path", d=f"{path}V{base:.1f}", fill="none", stroke=colour, stroke_width=1.5))
    return drawn
