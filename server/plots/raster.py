"""Raster pictures: told by their first bytes, and made such that a browser shows them. Pure."""

import io
import warnings

from PIL import Image

from .reading import CannotPlot

_MOST_CONVERTED = 10_000_000
"""Pixels of a picture that is turned into PNG, which takes some bytes of memory each."""
_OTHERS = ("PPM", "TIFF", "BMP")
"""Formats that are turned into PNG. No others are decoded: each decoder is a door."""
_SHOWN = ("PNG", "JPEG", "GIF", "WEBP")


def media_type(head: bytes) -> str:
    """Of a picture that browsers show, from its first bytes; empty where it is none."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return ""


def shown(data: bytes) -> tuple[str, bytes, int, int] | None:
    """Media type, bytes, width and height of a picture that a browser shows; None where `data` is no picture.

    Raises CannotPlot where it is one that is broken or too large.
    """
    kind = media_type(data)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=(*_SHOWN, *_OTHERS)) as picture:
            warnings.simplefilter("ignore")
            width, height = picture.size
            if not kind and width * height > _MOST_CONVERTED:
                raise CannotPlot(f"is a picture of {width} × {height} pixels: too large to be shown here")
            return (kind, data, width, height) if kind else ("image/png", _as_png(picture), width, height)
    except CannotPlot:
        raise
    except Exception as error:  # a decoder may fail in any way
        if kind:
            raise CannotPlot("begins like a picture but is none") from error
        return None


def png(width: int, height: int, colours: bytes) -> bytes:
    """A PNG of RGB pixels, row by row."""
    return _as_png(Image.frombytes("RGB", (width, height), colours))


def _as_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    if picture.mode[0] in "IF":  # more than 8 bits: the darkest becomes black, the brightest white
        deep = picture.convert("F")
        low, high = (float(each) for each in deep.getextrema())  # type: ignore[arg-type]
        scale = 255 / ((high - low) or 1)
        picture = deep.point(lambda value: value * scale - low * scale).convert("L")
    elif picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    picture.save(out, "PNG")
    return out.getvalue()
