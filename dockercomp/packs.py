"""Uploads: a large input alone, small ones many at a time, and what tells that one has changed since it was read."""

import hashlib
import zlib
from collections.abc import Callable
from typing import IO

from .catalogue import Catalogue, Planned
from .protocol.errors import ChecksumMismatch
from .source import InputError, Source

SMALL = 2**20
"""Inputs below so many bytes travel together."""
PACK = 64 * 2**20
MOST_PACKED = 10_000
"""An upload of small inputs has at most so many bytes, and so many of them."""

Upload = Callable[[str, int, IO[bytes]], None]
"""Sends an upload: its digest, its size, its bytes."""


class Pack:
    """Small inputs on their way into one upload."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._digest, self._size, self._files = hashlib.sha256(), 0, 0

    def add(self, name: str, data: bytes) -> None:
        if self._files == MOST_PACKED or self._size + len(data) > PACK:
            self.end()
        self._catalogue.add(name, len(data), self._size, zlib.crc32(data))
        self._digest.update(data)
        self._size, self._files = self._size + len(data), self._files + 1

    def end(self) -> None:
        if self._files:
            self._catalogue.end_upload(self._digest.hexdigest(), self._size)
            self._digest, self._size, self._files = hashlib.sha256(), 0, 0


def send_alone(source: Source, row: Planned, upload: Upload) -> None:
    """Send an input that is an upload of its own. Raises InputError where it has changed."""
    with source.open() as file:
        try:
            upload(row.digest, row.size, file)
        except ChecksumMismatch as error:
            if _digest(file) == row.digest:
                raise
            raise _changed(source) from error
        if file.seek(0, 2) != row.size:
            raise _changed(source)


def append(source: Source, row: Planned, pack: IO[bytes]) -> None:
    """Add a small input to the upload that it is part of. Raises InputError where it has changed."""
    with source.open() as file:
        data = file.read(SMALL)
    if len(data) != row.size or zlib.crc32(data) != row.crc:
        raise _changed(source)
    pack.write(data)


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _changed(source: Source) -> InputError:
    return InputError(f"{source.place} changed while it was being sent; no job was made: submit again when it rests")
