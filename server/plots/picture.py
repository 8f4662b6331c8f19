"""Pictures: a result that is one (PNG, JPEG, GIF, WebP, PNM, TIFF, BMP), or a table of numbers shown as one. Pure."""

import base64
from collections.abc import Sequence

from dockercomp.protocol.orders import PlotSpec

from . import axes, svg
from .raster import media_type, png, shown
from .reading import MOST_BYTES, CannotPlot, number, read
from .scale import extent, worded

_MOST_CELLS = 4_000_000
_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Viridis, at equal steps: even to the eye, also in grey."""


def draw(spec: PlotSpec, data: bytes, *, whole: bool = True) -> tuple[str, str, str]:
    """The picture in a frame, nothing for CSV, and what it shows. Raises CannotPlot."""
    whole = whole and len(data) <= MOST_BYTES
    if media_type(data) and not whole:
        raise CannotPlot(f"is a picture of more than {MOST_BYTES >> 20} MiB: too large to be shown here")
    found = shown(data) if whole else None
    if found is not None:
        return _framed(spec, *found, "A picture")
    table = read(data, whole=whole)
    return _heat_map(spec, table.rows)


def _heat_map(spec: PlotSpec, rows: Sequence[Sequence[str]]) -> tuple[str, str, str]:
    width, height = len(rows[0]), len(rows)
    if width * height > _MOST_CELLS:
        raise CannotPlot(f"has {width} × {height} cells: too many to be shown")
    try:
        cells = [[number(cell) for cell in row] for row in rows]
    except ValueError:
        raise CannotPlot("is neither a picture (PNG, JPEG, GIF, WebP, PNM, TIFF, BMP) nor a table of numbers") from None
    low, high = extent(cell for row in cells for cell in row)
    palette = [_shade(n / 255) for n in range(256)]
    raw = b"".join(
        b"\xff\xff\xff" if cell is None else palette[int(255 * (cell - low) / (high - low))]
        for row in cells
        for cell in row
    )
    step = (high - low) / 1000
    told = f"A table of {width} × {height} numbers, from {worded(low, step)} (dark) to {worded(high, step)} (bright)"
    return _framed(spec, "image/png", png(width, height, raw), width, height, told, f"{told}.", least=axes.WIDTH)


def _framed(
    spec: PlotSpec, kind: str, data: bytes, width: int, height: int, told: str, note: str = "", least: float = 240
) -> tuple[str, str, str]:
    drawn, top = axes.head(spec.title, [])
    wide = min(axes.WIDTH - 32, max(width, least))
    tall = wide * height / width
    address = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    # Few pixels, much enlarged, are meant to be seen as what they are.
    rendering = "pixelated" if width * 2 <= wide else None
    drawn.append(svg.element("image", x=16, y=top, width=wide, height=tall, href=address, image_rendering=rendering))
    if note:
        drawn.append(svg.text(note, 16, top + tall + 22, fill=svg.FAINT))
    bottom = top + tall + (36 if note else 16)
    summary = note or f"{told}, {width} × {height} pixels."
    return svg.document(axes.WIDTH, bottom, spec.title, summary, drawn), "", summary


def _shade(part: float) -> bytes:
    """The colour at `part`, 0 to 1, of the scale."""
    place = part * (len(_COLOURS) - 1)
    below = min(int(place), len(_COLOURS) - 2)
    rest = place - below
    return bytes(round(a + (b - a) * rest) for a, b in zip(_COLOURS[below], _COLOURS[below + 1], strict=True))
