"""Sorted results of several reducers, merged into one in the order of `LC_ALL=C sort`, with flat memory."""

from collections.abc import Iterator, Sequence
from heapq import merge

from server.store.blobs import BlobReader

_READ = 256 * 1024
_WRITE = 1024 * 1024


def merged(readers: Sequence[BlobReader]) -> Iterator[bytes]:
    """The lines of all, in order, in blocks of about 1 MiB. Each line of the result ends with a line end."""
    block: list[bytes] = []
    size = 0
    for line in merge(*(_lines(reader) for reader in readers)):
        block.append(line)
        size += len(line) + 1
        if size >= _WRITE:
            yield b"\n".join([*block, b""])
            block, size = [], 0
    if block:
        yield b"\n".join([*block, b""])


def _lines(reader: BlobReader) -> Iterator[bytes]:
    """Lines without their ends: compared so, a line sorts before those that it begins."""
    rest, at = b"", 0
    while at < reader.size:
        part = reader.read_at(at, _READ)
        if not part:
            break
        at += len(part)
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
    if rest:
        yield rest
