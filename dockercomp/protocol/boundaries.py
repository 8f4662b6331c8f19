"""Where chunks of lines begin: the same rule for whoever reads them, the master or a worker at a URL.

A chunk of nominal bytes [start, stop) is the lines that start in it: it begins at the first line start at or after
`start`, and ends at the first one at or after `stop`.
"""

from typing import Protocol

_SCAN = 64 * 1024


class Reader(Protocol):
    """Bytes that can be read at any place. `size` in bytes."""

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end."""


def line_start(reader: Reader, at: int) -> int:
    """The first byte at or after `at` where a line starts; the size where none does."""
    if at <= 0:
        return 0
    at -= 1  # a line starts at `at` itself if the byte before it ends one
    while at < reader.size:
        block = reader.read_at(at, _SCAN)
        if not block:
            return reader.size
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(block)
    return reader.size


def record_start(reader: Reader, at: int, *, quoted: bool) -> int:
    """The same for CSV, where a line end inside double quotes ends no record; `quoted` is whether byte `at` - 1 lies
    within quotes (RFC 4180: a quote toggles, a doubled one toggles twice)."""
    if at <= 0:
        return 0
    at -= 1
    # The byte at `at` belongs to the state before `quoted` where it is itself a quote; as a line end it is as quoted.
    first = True
    while at < reader.size:
        block = reader.read_at(at, _SCAN)
        if not block:
            return reader.size
        begin = 0
        if first:
            first = False
            if block[:1] == b"\n" and not quoted:
                return at + 1
            begin = 1
        while begin < len(block):
            end = block.find(b"\n", begin)
            quotes = block.count(b'"', begin, len(block) if end < 0 else end)
            quoted ^= bool(quotes & 1)
            if end < 0:
                break
            if not quoted:
                return at + end + 1
            begin = end + 1
        at += len(block)
    return reader.size
