"""Sorted results of several reducers, merged into one in the order of `LC_ALL=C sort`, with flat memory."""

from collections.abc import Iterator, Sequence
from heapq import merge

from server.store.blobs import BlobReader

_READ_IN_ALL = 8 * 2**20
_MOST_READ, _LEAST_READ = 256 * 1024, 4096
_WRITE = 1024 * 1024
_LONGEST = 16 * 2**20


class LineTooLong(ValueError):
    """A result that is no lines, or has one that is too long to be held beside those of the others."""


def merged(readers: Sequence[BlobReader]) -> Iterator[bytes]:
    """The lines of all, in order, in blocks of about 1 MiB. Each line of the result ends with a line end. Raises
    LineTooLong."""
    at_once = max(_LEAST_READ, min(_MOST_READ, _READ_IN_ALL // max(1, len(readers))))
    block: list[bytes] = []
    size = 0
    for line in merge(*(_lines(reader, at_once) for reader in readers)):
        block.append(line)
        size += len(line) + 1
        if size >= _WRITE:
            yield b"\n".join([*block, b""])
            block, size = [], 0
    if block:
        yield b"\n".join([*block, b""])


def _lines(reader: BlobReader, at_once: int) -> Iterator[bytes]:
    """Lines without their ends: compared so, a line sorts before those that it begins."""
    rest, at = b"", 0
    while at < reader.size:
        part = reader.read_at(at, at_once)
        if not part:
            break
        at += len(part)
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > _LONGEST:
            raise LineTooLong(f"a reducer's result has a line of over {_LONGEST >> 20} MiB")
        yield from lines
    if rest:
        yield rest
