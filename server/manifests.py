"""A manifest lists the results of a stage in chunk order: pure packing and searching, no I/O.

Packed as 40 bytes an entry: the 32 bytes of the result's SHA-256, and, as a little-endian 64-bit number, where it ends
in the concatenation of all. So any byte of a result of 10^9 chunks is found by bisection, and it is itself a blob.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

_ENTRY = struct.Struct("<32sQ")


@dataclass(frozen=True)
class Slice:
    """Bytes [start, stop) of the result `digest`."""

    digest: str
    start: int
    stop: int


def pack(results: Iterable[tuple[str, int]]) -> tuple[bytes, int]:
    """The manifest of (digest, size) in order, and the size of their concatenation."""
    packed, end = bytearray(), 0
    for digest, size in results:
        end += size
        packed += _ENTRY.pack(bytes.fromhex(digest), end)
    return bytes(packed), end


class Manifest:
    """A packed manifest, searched where it lies."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed) // _ENTRY.size

    def entry(self, number: int) -> tuple[str, int]:
        """(digest, end) of one result."""
        digest, end = _ENTRY.unpack_from(self._packed, number * _ENTRY.size)
        return digest.hex(), end

    @property
    def size(self) -> int:
        """Bytes of the concatenation."""
        return self.entry(len(self) - 1)[1] if len(self) else 0

    def sizes(self) -> list[int]:
        """The size of each result, in order."""
        ends = [self.entry(number)[1] for number in range(len(self))]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def slices(self, start: int, stop: int) -> list[Slice]:
        """What to read for the bytes [start, stop) of the concatenation."""
        number = bisect_right(range(len(self)), start, key=lambda n: self.entry(n)[1])
        found: list[Slice] = []
        begin = self.entry(number - 1)[1] if number else 0
        while number < len(self) and begin < stop:
            digest, end = self.entry(number)
            if end > begin:
                found.append(Slice(digest, max(start - begin, 0), min(stop, end) - begin))
            begin, number = end, number + 1
        return found
