"""The way in: a declared plot and the bytes that it is drawn of."""

from dataclasses import dataclass

from dockercomp.protocol.orders import PlotSpec

from . import bars, histogram, lines, picture
from .points import choose, values
from .reading import read


@dataclass(frozen=True)
class Plot:
    svg: str
    csv: str
    """The plotted points; empty for a picture."""
    summary: str
    """What it shows, in one sentence, for those who cannot see it."""


def draw(spec: PlotSpec, data: bytes, *, whole: bool = True) -> Plot:
    """Draw `data`, at most its first MOST_BYTES; `whole` is whether that is all there is.

    Raises CannotPlot with what is wrong with the data, as the rest of a sentence about it.
    """
    if spec.kind == "image":
        return Plot(*picture.draw(spec, data, whole=whole))
    table = read(data, whole=whole)
    if spec.kind == "histogram":
        return Plot(*histogram.draw(spec, histogram.count(values(spec, table), spec.bins)))
    points = choose(spec, table)
    kind = bars if spec.kind == "bar" else lines
    return Plot(kind.draw(spec, points), points.csv(), points.summary(spec.kind))
