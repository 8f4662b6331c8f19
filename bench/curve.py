"""A curve of time against workers, as SVG and CSV: both axes by powers of two, so that perfect scaling is a line."""

import math
from collections.abc import Callable, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _EDGE = 480, 360, 70, 50, 20

Point = tuple[float, float]


def files(title: str, points: Sequence[Point]) -> dict[str, str]:
    """As .svg and .csv; `points` are workers and seconds, fewest workers first."""
    lines = [f"{workers:g},{seconds:g}" for workers, seconds in points]
    return {".svg": svg(title, points), ".csv": "\n".join(["workers,seconds", *lines, ""])}


def svg(title: str, points: Sequence[Point]) -> str:
    """The measured curve, and dashed the one of perfect scaling through its first point."""
    first, last = points[0], points[-1]
    ideal = [(workers, first[1] * first[0] / workers) for workers, _ in points]
    across = _scale(first[0], last[0], _LEFT, _WIDTH - _EDGE)
    up = _scale(min(ideal[-1][1], last[1]), first[1], _HEIGHT - _BOTTOM, _EDGE + 20)

    def drawn(curve: Sequence[Point]) -> str:
        return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve)

    marks = [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3"/>' for x, y in points]
    names = [_text(across(x), _HEIGHT - _BOTTOM + 18, f"{x:g}") for x, _ in points]
    values = [_text(_LEFT - 8, up(y) + 4, f"{y:.1f} s", "end") for _, y in points]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        _text(_WIDTH / 2, _EDGE, title),
        f'<polyline points="{drawn(ideal)}" fill="none" stroke="#888" stroke-dasharray="5 4"/>',
        f'<polyline points="{drawn(points)}" fill="none" stroke="#0b5ed7" stroke-width="2"/>',
        *marks, *names, *values,
        _text(_WIDTH / 2, _HEIGHT - 12, "workers (dashed: perfect scaling)"),
        "</svg>", "",
    ])  # fmt: skip


def _scale(low: float, high: float, begin: float, end: float) -> Callable[[float], float]:
    span = math.log2(high / low) or 1.0
    return lambda value: begin + (end - begin) * math.log2(value / low) / span


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
