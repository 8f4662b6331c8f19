"""A table lists the extents that make up an input, in order: packing and searching, over bytes that are read in place.

    u64 number of rows, the rows (80 bytes each), then the labels (JSON, one for each row, found by the row)

A row is 32 bytes of digest, then as little-endian 64-bit numbers where the extent begins in what the digest names, its
size, the bytes and the chunks of all rows up to and with it, where its label ends, and a byte that says what the digest
names. So of a million files nothing is read but the few rows that are asked for.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Literal

import msgspec

from dockercomp.protocol.boundaries import Reader
from server.manifests import Slice

_HEAD = struct.Struct("<Q")
_ROW = struct.Struct("<32sQQQQQB7x")
_KINDS: tuple[Literal["stored"], Literal["results"], Literal["url"]] = ("stored", "results", "url")
_NO_DIGEST = "0" * 64
_IN_MEMORY = 2**20
_SCAN = 1 << 20


class Label(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told of an extent. `name` is its path as the program sees it."""

    name: str = ""
    url: str = ""
    etag: str = ""
    quotes: str = ""
    """csv: digest of a blob whose bit k says whether byte k * chunk size lies within quotes."""


@dataclass(frozen=True, slots=True)
class Extent:
    """`kind` says what `digest` names: something stored (a payload or blob), the manifest of results, or, for a URL,
    nothing. Bytes [offset, offset + size) of it."""

    digest: str
    size: int
    label: Label = field(default_factory=Label)
    offset: int = 0
    kind: Literal["stored", "results", "url"] = "stored"
    chunks: int = 0
    """Chunks that it is cut into."""


@dataclass(frozen=True, slots=True)
class Row:
    """An extent as found: `end` and `chunks_end` count the bytes and chunks of all extents up to and with it."""

    extent: Extent
    end: int
    chunks_end: int


def parts(extents: Iterable[Extent]) -> Iterator[bytes]:
    """A packed table part by part. Rows and labels that are many wait in temporary files, not in memory."""
    with SpooledTemporaryFile(_IN_MEMORY) as rows, SpooledTemporaryFile(_IN_MEMORY) as labels:
        yield _HEAD.pack(_write(extents, rows, labels))
        for file in (rows, labels):
            file.seek(0)
            while part := file.read(_IN_MEMORY):
                yield part


def pack(extents: Iterable[Extent]) -> bytes:
    """A small table whole."""
    return b"".join(parts(extents))


def _write(extents: Iterable[Extent], rows: IO[bytes], labels: IO[bytes]) -> int:
    """Returns how many rows there are."""
    end = chunks = number = told = 0
    encode = msgspec.json.Encoder().encode
    for extent in extents:
        end, chunks, number = end + extent.size, chunks + extent.chunks, number + 1
        told += labels.write(encode(extent.label))
        digest = bytes.fromhex(extent.digest or _NO_DIGEST)
        rows.write(_ROW.pack(digest, extent.offset, extent.size, end, chunks, told, _KINDS.index(extent.kind)))
    return number


class Table:
    """A packed table, read in place."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._length = int(_HEAD.unpack(reader.read_at(0, _HEAD.size))[0])

    def __len__(self) -> int:
        return self._length

    @property
    def size(self) -> int:
        """Bytes of all extents."""
        return self._fields(self._length - 1)[3] if self._length else 0

    @property
    def chunks(self) -> int:
        """Chunks of all extents."""
        return self._fields(self._length - 1)[4] if self._length else 0

    def row(self, number: int) -> Row:
        digest, offset, size, end, chunks_end, label_end, kind = self._fields(number)
        before = self._fields(number - 1) if number else (b"", 0, 0, 0, 0, 0, 0)
        labels = _HEAD.size + self._length * _ROW.size
        label = msgspec.json.decode(self._reader.read_at(labels + before[5], label_end - before[5]), type=Label)
        extent = Extent(digest.hex(), size, label, offset, _KINDS[kind], chunks_end - before[4])
        return Row(extent, end, chunks_end)

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[Row]:
        for number in range(first, self._length if last is None else min(last, self._length)):
            yield self.row(number)

    def find(self, name: str) -> Row | None:
        """The row of this name, if its label holds nothing else. Reads through all labels."""
        wanted = msgspec.json.encode(Label(name))
        labels, at = _HEAD.size + self._length * _ROW.size, 0
        end = self._fields(self._length - 1)[5] if self._length else 0
        while at < end:
            # A quote within a name is written \\", so a label is found only where one stands.
            found = self._reader.read_at(labels + at, min(_SCAN + len(wanted), end - at)).find(wanted)
            if found >= 0:
                return self.row(bisect_right(range(self._length), at + found, key=lambda n: self._fields(n)[5]))
            at += _SCAN
        return None

    def of_chunk(self, index: int) -> tuple[Row, int]:
        """The row that a chunk lies in, and its number within that row."""
        number = bisect_right(range(self._length), index, key=lambda n: self._fields(n)[4])
        row = self.row(number)
        return row, index - (row.chunks_end - row.extent.chunks)

    def slices(self, start: int, stop: int) -> list[Slice]:
        """What to read for the bytes [start, stop) of all extents one after the other; only for stored ones."""
        number = bisect_right(range(self._length), start, key=lambda n: self._fields(n)[3])
        found: list[Slice] = []
        while number < self._length:
            digest, offset, size, end, *_ = self._fields(number)
            begin = end - size
            if begin >= stop:
                break
            if size:
                found.append(Slice(digest.hex(), offset + max(start - begin, 0), offset + min(stop, end) - begin))
            number += 1
        return found

    def _fields(self, number: int) -> tuple[bytes, int, int, int, int, int, int]:
        return _ROW.unpack(self._reader.read_at(_HEAD.size + number * _ROW.size, _ROW.size))
