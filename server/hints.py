"""Which way of comparing would call results equal that differ now. Pure, no I/O."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from dockercomp.protocol.orders import VerifySpec
from server import comparators

LARGEST = 2**20
"""Bytes of a result beyond which nothing is tried: each way reads the whole of both."""
_TOLERANCES = (1e-12, 1e-9, 1e-6, 1e-3)
_PIXELS = (1, 4, 16)

Pair = tuple[bytes, bytes]


def suggestion(pairs: Sequence[Pair], *, bundled: bool = False) -> str:
    """The first of the known ways, the strictest at first, by which each pair is equal, as the job file has it, such as
    `compare = "numbers"` and `rtol = 1e-09`; empty where none does, or a result is over LARGEST."""
    if not pairs or any(len(result) > LARGEST for pair in pairs for result in pair):
        return ""
    for spec, words in _ways():
        if all(comparators.equal(spec, a, b, bundled=bundled) for a, b in pairs):
            return words
    return ""


def _ways() -> Iterator[tuple[VerifySpec, str]]:
    plain = VerifySpec()
    for compare in ("lines", "json"):
        yield replace(plain, compare=compare), f'compare = "{compare}"'
    for rtol in _TOLERANCES:
        for compare in ("numbers", "json", "csv"):
            yield replace(plain, compare=compare, rtol=rtol), f'compare = "{compare}" and rtol = {rtol:g}'
    for pixel in _PIXELS:
        yield replace(plain, compare="image", pixel=pixel), f'compare = "image" and pixel = {pixel}'
