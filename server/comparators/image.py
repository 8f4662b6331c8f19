"""Pictures by their pixels: size, number of frames and channels must be the same, a channel may differ by `pixel`.

What is not a pixel (comments, EXIF, colour profiles, compression) does not count. Palettes are resolved first.
Pixels of more than 8 bits a channel must be the same.
"""

import io
from collections.abc import Iterator

from PIL import Image, ImageChops, ImageSequence

from dockercomp.protocol.orders import VerifySpec

from .malformed import Malformed

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 25_000_000
"""Of all frames of a picture: what a small file may unpack to is bounded before it is unpacked."""
_BAND = 256
"""Rows that are compared at a time."""
_EIGHT_BIT = frozenset({"L", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"})


def difference(spec: VerifySpec, a: bytes, b: bytes) -> str:
    ours, theirs = _frames(a), _frames(b)
    number = 0
    while True:
        number += 1
        frame, twin = next(ours, None), next(theirs, None)
        if frame is None or twin is None:
            return "" if frame is twin else f"one has {number - 1} frames, the other more"
        found = _of_frames(frame, twin, spec.pixel)
        if found:
            return found if number == 1 else f"frame {number}: {found}"


def _of_frames(a: Image.Image, b: Image.Image, pixel: int) -> str:
    if a.size != b.size:
        return f"one is {a.width} x {a.height} pixels, the other {b.width} x {b.height}"
    a, b = _comparable(a), _comparable(b)
    if a.mode != b.mode:
        return f"their channels differ: {a.mode} and {b.mode}"
    rows = ((0, top, a.width, min(top + _BAND, a.height)) for top in range(0, a.height, _BAND))
    if a.mode not in _EIGHT_BIT:
        same = all(a.crop(band).tobytes() == b.crop(band).tobytes() for band in rows)
        return "" if same else "their pixels differ"
    most = max((_largest_difference(a.crop(band), b.crop(band)) for band in rows), default=0)
    return f"a pixel differs by {most}, more than {pixel}" if most > pixel else ""


def _largest_difference(a: Image.Image, b: Image.Image) -> int:
    lowest_and_highest = ImageChops.difference(a, b).getextrema()
    channels = lowest_and_highest if isinstance(lowest_and_highest[0], tuple) else (lowest_and_highest,)
    return max(int(high) for _, high in channels)


def _frames(data: bytes) -> Iterator[Image.Image]:
    """The frames one by one, not decoded yet; each is good until the next one is asked for. Raises Malformed."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            pixels = 0
            for frame in ImageSequence.Iterator(picture):
                pixels += frame.width * frame.height
                if pixels > MOST_PIXELS:
                    raise Malformed(f"is a picture of over {MOST_PIXELS // 10**6} million pixels")
                yield frame
    except Malformed:
        raise
    except Exception as error:  # decoders raise anything where data is damaged
        raise Malformed(f"cannot be read as a picture: {error}") from error


def _comparable(frame: Image.Image) -> Image.Image:
    """The frame, decoded, in a mode whose channels can be compared. Raises Malformed."""
    try:
        frame.load()
        if frame.mode == "1":
            return frame.convert("L")
        return frame.convert("RGBA") if frame.mode in ("P", "PA", "LA", "La", "RGBa") else frame
    except Exception as error:  # as above
        raise Malformed(f"cannot be read as a picture: {error}") from error
