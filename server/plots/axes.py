"""The frame around a plot: title, legend, axes with their marks and labels. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from . import svg
from .scale import Scale, Tick

WIDTH, HEIGHT = 800.0, 450.0
_PAD = 16.0
_MOST_LEGEND = 220.0


@dataclass(frozen=True)
class Area:
    """Where the values are drawn, in pixels."""

    left: float
    right: float
    top: float
    bottom: float


def head(title: str, names: Sequence[str]) -> tuple[list[str], float]:
    """Title and, for several series, their legend; and how far down they reach."""
    drawn, y = [], 10.0
    for number, words in enumerate(svg.wrapped(title, WIDTH - 2 * _PAD, 17) if title else []):
        y += 22 if number == 0 else 21
        drawn.append(svg.text(words, _PAD, y, font_size=17, font_weight=600))
    if len(names) < 2:
        return drawn, y + 22
    x, y = _PAD, y + 22
    for number, name in enumerate(names):
        words = svg.shortened(name, _MOST_LEGEND)
        needed = svg.width_of(words) + 38
        if x > _PAD and x + needed > WIDTH - _PAD:
            x, y = _PAD, y + 20
        drawn.append(svg.rect(x, y - 10, 12, 12, fill=colour(number), rx=2))
        drawn.append(svg.text(words, x + 18, y))
        x += needed
    return drawn, y + 16


def colour(number: int) -> str:
    return svg.COLOURS[number % len(svg.COLOURS)]


def label_room(ticks: Sequence[Tick]) -> float:
    """How much the marks of an upright axis need to its left."""
    return max((svg.width_of(tick.label) for tick in ticks), default=0.0) + 12


def upright(area: Area, scale: Scale, ticks: Sequence[Tick], label: str) -> list[str]:
    """Marks and grid lines of the values, and what they are, written upwards at the left edge."""
    drawn = []
    for tick in ticks:
        y = scale.at(tick.at)
        drawn.append(svg.line(area.left, y, area.right, y, svg.GRID))
        drawn.append(svg.text(tick.label, area.left - 8, y + 4.5, text_anchor="end", fill=svg.FAINT))
    if label:
        middle = (area.top + area.bottom) / 2
        words = svg.shortened(label, area.bottom - area.top)
        turned = f"rotate(-90 {_PAD + 4:g} {middle:.2f})"
        drawn.append(svg.text(words, _PAD + 4, middle, text_anchor="middle", transform=turned))
    return drawn


def level(area: Area, scale: Scale, ticks: Sequence[Tick], label: str, *, grid: bool = False) -> list[str]:
    """The axis below, with those of its marks that have room."""
    drawn = [] if grid else [svg.line(area.left, area.bottom, area.right, area.bottom, svg.AXIS)]
    free = 0.0
    for tick in ticks:
        x, half = scale.at(tick.at), svg.width_of(tick.label) / 2
        low, high = (area.top, area.bottom) if grid else (area.bottom, area.bottom + 5)
        drawn.append(svg.line(x, low, x, high, svg.GRID if grid else svg.AXIS))
        if x - half < free:
            continue
        free = x + half + 8
        # A mark at the edge is moved inwards rather than cut off.
        x = min(max(x, half + 2), WIDTH - half - 2)
        drawn.append(svg.text(tick.label, x, area.bottom + 20, text_anchor="middle", fill=svg.FAINT))
    if label:
        words = svg.shortened(label, area.right - area.left)
        middle = (area.left + area.right) / 2
        drawn.append(svg.text(words, middle, area.bottom + 42, text_anchor="middle"))
    return drawn


def area_for(top: float, ticks: Sequence[Tick], *, x_label: str, y_label: str) -> Area:
    """The area of a plot of the usual size, with room for its marks and labels."""
    left = _PAD + label_room(ticks) + (24 if y_label else 0)
    return Area(left, WIDTH - _PAD - 8, top, HEIGHT - (56 if x_label else 34))
