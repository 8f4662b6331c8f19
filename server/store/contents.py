"""Reading what was stored, wherever it lies: a result is a payload in MongoDB or a blob."""

from typing import Protocol

from server.manifests import Slice

from .blobs import BlobReader, BlobStore
from .payloads import Payloads

_GROUP = 10_000


class Sliced(Protocol):
    """Says which stored things make up a run of bytes: a manifest, or a table of extents."""

    @property
    def size(self) -> int: ...

    def slices(self, start: int, stop: int) -> list[Slice]: ...


class Concatenation:
    """Stored things one after the other, read at any place with flat memory. A BlobReader."""

    def __init__(self, payloads: Payloads, blobs: BlobStore, of: Sliced) -> None:
        self._payloads = payloads
        self._blobs = blobs
        self._of = of
        self.size = of.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Raises NotFound where one of them is neither a payload nor a blob."""
        slices = self._of.slices(offset, min(offset + length, self.size))
        digests = sorted({piece.digest for piece in slices})
        small: dict[str, bytes] = {}
        for start in range(0, len(digests), _GROUP):  # a query is a document too, and bounded like one
            small |= self._payloads.get(digests[start : start + _GROUP])
        parts = []
        for piece in slices:
            if piece.digest in small:
                parts.append(small[piece.digest][piece.start : piece.stop])
            else:
                parts.append(self._blobs.open(piece.digest).read_at(piece.start, piece.stop - piece.start))
        return b"".join(parts)


class Window:
    """Bytes [offset, offset + size) of another reader."""

    def __init__(self, reader: BlobReader, offset: int, size: int) -> None:
        self._reader = reader
        self._offset = offset
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        return self._reader.read_at(self._offset + offset, max(0, min(length, self.size - offset)))


class Chain:
    """Readers one after the other."""

    def __init__(self, readers: list[BlobReader]) -> None:
        self._readers = readers
        self.size = sum(reader.size for reader in readers)

    def read_at(self, offset: int, length: int) -> bytes:
        parts: list[bytes] = []
        for reader in self._readers:
            if length > 0 and offset < reader.size:
                part = reader.read_at(offset, min(length, reader.size - offset))
                parts.append(part)
                length -= len(part)
                offset += len(part)
            offset -= reader.size
        return b"".join(parts)


class Held:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def read_all(reader: BlobReader) -> bytes:
    """A whole small blob, such as a manifest."""
    return reader.read_at(0, reader.size)
