"""Lines over numbers, times or names. Of very many points as many are drawn as the picture can show; gaps stay gaps."""

from collections.abc import Sequence

from dockercomp.protocol.orders import PlotSpec

from . import axes, svg
from .points import Points
from .reading import is_number, number
from .scale import Scale, Tick, extent, rounded_out, seconds_of, ticks, time_ticks

_DOTS = 60
"""Up to so many points are drawn as dots too."""
_COLUMNS = 1600
"""Of more points, the first, least, largest and last of each half pixel's column are drawn: the same picture."""

Spot = tuple[float, float]


def draw(spec: PlotSpec, points: Points, *, zero: bool = False) -> str:
    """With `zero` the upright axis begins there, for amounts that are compared with nothing."""
    places, below = _places(points.x)
    drawn, top = axes.head(spec.title, [series.name for series in points.series])
    low, high = rounded_out(*extent((v for series in points.series for v in series.values), zero=zero))
    marks = ticks(low, high)
    area = axes.area_for(top, marks, x_label=spec.x_label, y_label=spec.y_label)
    scale = Scale(low, high, area.bottom, area.top)
    across = Scale(*extent(places), area.left + 4, area.right - 4)
    drawn += axes.upright(area, scale, marks, spec.y_label)
    drawn += axes.level(area, across, below, spec.x_label)
    for number_, series in enumerate(points.series):
        colour = axes.colour(number_)
        for run in _runs(places, series.values, across, scale):
            if len(points.x) <= _DOTS or len(run) == 1:
                drawn += [svg.element("circle", cx=x, cy=y, r=3.2, fill=colour) for x, y in run]
            if len(run) > 1:
                path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in _thinned(run))
                drawn.append(
                    svg.element("path", d=path, fill="none", stroke=colour, stroke_width=2, stroke_linejoin="round")
                )
    return svg.document(axes.WIDTH, axes.HEIGHT, spec.title, points.summary("line"), drawn)


def _places(names: Sequence[str]) -> tuple[list[float | None], list[Tick]]:
    """Where the points stand on the level axis, and its marks."""
    if all(map(is_number, names)):
        places = [number(name) for name in names]
        return places, ticks(*extent(places), 8)
    times = [seconds_of(name) for name in names]
    if all(each is not None for each in times):
        return times, time_ticks(*extent(times))
    return [float(n) for n in range(len(names))], [Tick(n, svg.shortened(each, 160)) for n, each in enumerate(names)]


def _runs(
    places: Sequence[float | None], values: Sequence[float | None], across: Scale, scale: Scale
) -> list[list[Spot]]:
    """The points of a series in pixels, broken at gaps."""
    runs: list[list[Spot]] = [[]]
    for place, value in zip(places, values, strict=True):
        if place is None or value is None:
            runs.append([])
        else:
            runs[-1].append((across.at(place), scale.at(value)))
    return [run for run in runs if run]


def _thinned(run: list[Spot]) -> list[Spot]:
    if len(run) <= 2 * _COLUMNS:
        return run
    kept: list[Spot] = []
    column: list[Spot] = []
    for spot in run:
        if column and int(spot[0] * 2) != int(column[0][0] * 2):
            kept += _ends(column)
            column = []
        column.append(spot)
    return kept + _ends(column)


def _ends(column: list[Spot]) -> list[Spot]:
    if len(column) <= 4:
        return column
    inner = {min(column, key=lambda s: s[1]), max(column, key=lambda s: s[1])}
    return [column[0], *(spot for spot in column[1:-1] if spot in inner), column[-1]]
