"""Bars: upright where the names below them have room, lying otherwise, so that long names stay legible."""

import re
from collections.abc import Sequence

from dockercomp.protocol.orders import PlotSpec

from . import axes, svg
from .points import Points
from .reading import is_number
from .scale import Scale, Tick, extent, rounded_out, seconds_of, ticks, worded

MOST_BARS = 200
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_NAME_ROOM = 250.0
_ROOMY = 40
"""Up to so many lying bars have their value written beside them."""


def draw(spec: PlotSpec, points: Points) -> str:
    left_out = len(points.x) - MOST_BARS
    drawn = _upright(spec, points) if _fit_below(points) else _lying(spec, points)
    width, height, body = drawn
    if left_out > 0:
        words = f"The first {MOST_BARS} of {len(points.x):,}; `sort` and `top` choose which."
        body = [*body, svg.text(words, axes.WIDTH - 16, height + 8, text_anchor="end", fill=svg.FAINT)]
        height += 20
    return svg.document(width, height, spec.title, points.summary("bar"), body)


def _fit_below(points: Points) -> bool:
    """Whether the names fit below upright bars; of a row of numbers or dates some may be left out."""
    room = (axes.WIDTH - 130) / len(points.x) - 12
    return _in_a_row(points.x) or all(svg.width_of(name) <= room for name in points.x)


def _in_a_row(names: Sequence[str]) -> bool:
    return all(is_number(name) or seconds_of(name) is not None for name in names)


def _upright(spec: PlotSpec, points: Points) -> tuple[float, float, list[str]]:
    names, values = points.x[:MOST_BARS], [series.values[:MOST_BARS] for series in points.series]
    low, high = rounded_out(*extent((v for each in values for v in each), zero=True))
    marks = ticks(low, high)
    drawn, top = axes.head(spec.title, [series.name for series in points.series])
    x_label, y_label = spec.x_label, spec.y_label
    area = axes.area_for(top, marks, x_label=x_label, y_label=y_label)
    scale = Scale(low, high, area.bottom, area.top)
    across = Scale(0, len(names), area.left, area.right)
    drawn += axes.upright(area, scale, marks, y_label)
    slot = (area.right - area.left) / len(names)
    thick = min(slot * 0.8, 90.0 * len(values)) / len(values)
    for number, series in enumerate(values):
        for place, value in enumerate(series):
            if value is None:
                continue
            x = across.at(place + 0.5) + (number - len(values) / 2) * thick
            y, base = scale.at(value), scale.at(0)
            told = _told(names[place], points.series[number].name, value)
            drawn.append(
                svg.rect(x, min(y, base), max(thick - 0.5, 0.5), abs(base - y), fill=axes.colour(number), told=told)
            )
    below = [Tick(place + 0.5, svg.clean(names[place])) for place in _marked(names, slot)]
    drawn += axes.level(area, across, below, x_label)
    if low < 0:
        drawn.append(svg.line(area.left, scale.at(0), area.right, scale.at(0), svg.AXIS))
    return axes.WIDTH, axes.HEIGHT, drawn


def _marked(names: Sequence[str], slot: float) -> list[int]:
    """Which bars have their name below: of numbers and dates without room each second, fifth, tenth …; of a row of
    whole numbers the round ones."""
    if not _in_a_row(names):
        return list(range(len(names)))
    widest = max(map(svg.width_of, names)) + 12
    every = next((n * ten for ten in (1, 10, 100) for n in (1, 2, 5) if n * ten * slot >= widest), 1000)
    numbers = [int(name) for name in names if _WHOLE.fullmatch(name)]
    row = len(numbers) == len(names) and numbers == list(range(numbers[0], numbers[0] + len(names)))
    return [place for place in range(len(names)) if (numbers[place] if row else place) % every == 0]


def _lying(spec: PlotSpec, points: Points) -> tuple[float, float, list[str]]:
    names, values = points.x[:MOST_BARS], [series.values[:MOST_BARS] for series in points.series]
    lines = [svg.wrapped(name, _NAME_ROOM) for name in names]
    left = 16 + max(svg.width_of(line) for name in lines for line in name) + 10
    low, high = extent((v for each in values for v in each), zero=True)
    room = _value_room(values) if len(names) * len(values) <= _ROOMY else 0.0
    low, high = (low, high) if room else rounded_out(low, high)
    drawn, top = axes.head(spec.title, [series.name for series in points.series])
    each = max(16.0 * len(values) + 8, 34.0 if any(len(name) > 1 for name in lines) else 24.0)
    area = axes.Area(left, axes.WIDTH - 24 - room, top, top + each * len(names))
    scale = Scale(low, high, area.left + (room + 14 if low < 0 else 0), area.right)
    marks = ticks(low, high, 5)
    drawn += axes.level(area, scale, marks, spec.y_label, grid=True)
    for place, name in enumerate(lines):
        middle = area.top + each * (place + 0.5)
        for number, words in enumerate(name):
            y = middle + 4.5 + (number - (len(name) - 1) / 2) * 15
            drawn.append(svg.text(words, left - 8, y, text_anchor="end"))
        for number, series in enumerate(values):
            drawn += _one_lying(points, scale, place, number, series[place], middle, each / len(values) - 6, room)
    drawn.append(svg.line(scale.at(0), area.top, scale.at(0), area.bottom, svg.AXIS))
    return axes.WIDTH, area.bottom + (56 if spec.y_label else 34), drawn


def _one_lying(
    points: Points, scale: Scale, place: int, number: int, value: float | None, middle: float, most: float, room: float
) -> list[str]:
    if value is None:
        return []
    thick = min(most, 20.0)
    y = middle + (number - (len(points.series) - 1) / 2) * (thick + 1) - thick / 2
    x, base = scale.at(value), scale.at(0)
    told = _told(points.x[place], points.series[number].name, value)
    drawn = [svg.rect(min(x, base), y, abs(x - base), thick, fill=axes.colour(number), rx=2, told=told)]
    if room:
        anchor, beside = ("end", x - 6) if value < 0 else ("start", x + 6)
        drawn.append(
            svg.text(_short(value), beside, y + thick / 2 + 4, text_anchor=anchor, fill=svg.FAINT, font_size=12)
        )
    return drawn


def _value_room(values: Sequence[Sequence[float | None]]) -> float:
    return max((svg.width_of(_short(v), 12) for each in values for v in each if v is not None), default=0.0) + 8


def _short(value: float) -> str:
    """A value as it is written beside its bar: at most four digits where it is no whole number."""
    if value == int(value) and abs(value) < 1e9:
        return f"{value:,.0f}".replace("-", "−")
    if 1e-3 <= abs(value) < 1e7:
        return f"{float(f'{value:.4g}'):,.10g}".replace("-", "−")
    return worded(value, 10.0 ** (int(f"{value:e}".split("e")[1]) - 3))


def _told(name: str, series: str, value: float) -> str:
    return f"{name} · {series}: {value:,g}"
