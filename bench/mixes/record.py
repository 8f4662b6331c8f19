"""What a mix leaves: tables as CSV, and pictures drawn of these very tables."""

from collections.abc import Iterable, Sequence

from bench.mixes.simulator import Timing
from dockercomp.protocol.orders import PlotSpec
from server.plots.drawing import draw
from server.plots.points import as_csv

TIMED = ("k", "policy", "run", "number", "program", "size_s", "arrives_s", "begun_s", "ended_s", "wall_s")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with a header; numbers to four digits behind the point."""
    return as_csv(header, ([round(cell, 4) if isinstance(cell, float) else cell for cell in row] for row in rows))


def timed(k: int, policy: str, run: int, timings: Iterable[Timing]) -> list[tuple[object, ...]]:
    """A row of TIMED for each program."""
    return [
        (k, policy, run, t.item.number, t.item.program, t.item.size, t.item.arrives_s, t.begun_s, t.ended_s, t.wall_s)
        for t in timings
    ]


def picture(title: str, data: str, *, x: str, y: Sequence[str], x_label: str, y_label: str) -> str:
    """Columns of a CSV over another one, as SVG."""
    spec = PlotSpec(kind="line", title=title, x=x, y=list(y), x_label=x_label, y_label=y_label)
    return draw(spec, data.encode()).svg
