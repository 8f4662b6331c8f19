"""How a stage of a job speeds up with width: measured means with their intervals, the fitted curve in its band, and the
line of a program that gains as much as it is given. Without a fit: the seconds of a chunk. Pure.
"""

from collections.abc import Sequence
from math import inf

from dockercomp.protocol.messages import Point
from dockercomp.protocol.speedup_view import in_words, mean_band
from dockercomp.protocol.views import SpeedupView

from . import axes, svg
from .drawing import Plot
from .points import as_csv
from .scale import Scale, extent, rounded_out, ticks

_MEASURED, _FITTED, _IDEAL = 0, 1, 2
_DASHES = "6 4"
_DOT = 4.0

Bar = tuple[float, float, float, float]
"""A point's width, and its mean with the ends of its interval, as plotted."""


def draw(view: SpeedupView) -> Plot:
    """Raises CannotPlot where nothing was measured lies within what can be drawn."""
    title = f"Speed-up of {view.stage} on {view.kind}" if view.law else f"Runs of {view.stage} on {view.kind}"
    bars = [_bar(view, point) for point in view.points]
    most = _most(view, bars)
    low, high = rounded_out(*extent([0.0, most], zero=True))
    marks = ticks(low, high)
    drawn, top = axes.head(title, ["measured", "fitted, with its 95 % band", "ideal"] if view.law else [])
    words = "times as fast as with one CPU" if view.law else "seconds a chunk"
    area = axes.area_for(top, marks, x_label="CPUs", y_label=words)
    scale = Scale(low, high, area.bottom, area.top)
    widest = max((bar[0] for bar in bars), default=1.0)
    below = rounded_out(*extent([0.0, widest], zero=True), 8)
    across = Scale(*below, area.left + 4, area.right - 4)
    drawn += axes.upright(area, scale, marks, words)
    drawn += axes.level(area, across, ticks(*below, 8), "CPUs")
    if view.law:
        drawn += _law(view, across, scale, high)
    for bar in bars:
        drawn += _measured(bar, across, scale, high)
    summary = in_words(view)
    return Plot(svg.document(axes.WIDTH, axes.HEIGHT, title, f"{summary[:1].upper()}{summary[1:]}.", drawn),
                table([view]), summary)  # fmt: skip


def table(views: Sequence[SpeedupView]) -> str:
    """What was measured, as CSV: a row for each stage, kind of machine and width."""
    rows = [
        (view.stage, view.kind, point.width, point.runs, point.mean, point.spread, point.cpu_s / point.runs, *times)
        for view in views
        for point in view.points
        for times in [(view.one_s / point.mean, _fitted(view, point.width)) if view.law else ("", "")]
    ]
    heads = ("stage", "machine", "cpus", "runs", "wall_s", "wall_s_deviation", "cpu_s", "speedup", "speedup_fitted")
    return as_csv(heads, rows)


def _fitted(view: SpeedupView, width: float) -> float:
    """The curve at a measured width, which is one of those that it is told at."""
    return view.speedup[view.widths.index(width)]


def _bar(view: SpeedupView, point: Point) -> Bar:
    low, high = mean_band(point)
    if not view.law:
        return point.width, point.mean, low, high
    return point.width, view.one_s / point.mean, view.one_s / high, view.one_s / low if low > 0 else inf


def _most(view: SpeedupView, bars: Sequence[Bar]) -> float:
    """The largest value with room. Whatever is uncertain beyond half as much again as was seen is cut off."""
    seen = max([*(bar[1] for bar in bars), *view.speedup], default=1.0)
    unsure = [*(bar[3] for bar in bars), *view.high, *view.widths]
    return max(seen, *(min(each, 1.5 * seen) for each in unsure)) if unsure else seen


def _law(view: SpeedupView, across: Scale, scale: Scale, top: float) -> list[str]:
    def spots(values: Sequence[float]) -> list[str]:
        return [f"{across.at(w):.1f} {scale.at(min(v, top)):.1f}" for w, v in zip(view.widths, values, strict=True)]

    band = "M" + "L".join([*spots(view.high), *reversed(spots(view.low))]) + "Z"
    curve = "M" + "L".join(spots(view.speedup))
    end = min(view.widths[-1], top)
    colour = axes.colour(_FITTED)
    return [
        svg.element("path", d=band, fill=colour, fill_opacity="0.18"),
        svg.element(
            "line",
            x1=across.at(0),
            y1=scale.at(0),
            x2=across.at(end),
            y2=scale.at(end),
            stroke=axes.colour(_IDEAL),
            stroke_width="1.5",
            stroke_dasharray=_DASHES,
        ),
        svg.element("path", d=curve, fill="none", stroke=colour, stroke_width=2, stroke_linejoin="round"),
    ]


def _measured(bar: Bar, across: Scale, scale: Scale, top: float) -> list[str]:
    width, mean, low, high = bar
    x, colour = across.at(width), axes.colour(_MEASURED)
    drawn = []
    if 0 < low < high < inf:
        drawn.append(svg.line(x, scale.at(low), x, scale.at(min(high, top)), colour))
        drawn += [svg.line(x - 5, y, x + 5, y, colour) for y in (scale.at(low), scale.at(min(high, top)))]
    return [*drawn, svg.element("circle", cx=x, cy=scale.at(min(mean, top)), r=_DOT, fill=colour)]
