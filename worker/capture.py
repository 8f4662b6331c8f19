"""What a run gives, as it streams in: its log's head and tail, and its result, digested on the way."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from dockercomp.protocol.messages import INLINE_LIMIT

from .disk import Claim, Disk

LOG_PART = 4096
BRIEF = 1024
OUTPUT_LIMIT = 1 << 30
"""Largest result of one chunk, in bytes."""


def digest_of(data: bytes | Path) -> str:
    """SHA-256 of bytes or of a file, hex."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    digest = hashlib.sha256()
    with data.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Log:
    """The first and the last LOG_PART bytes of what a program said."""

    def __init__(self, also: Callable[[bytes], None] | None) -> None:
        self._also = also
        self._head = b""
        self._tail = b""
        self._size = 0

    def add(self, part: bytes) -> None:
        if self._also is not None:
            self._also(part)
        self._size += len(part)
        room = LOG_PART - len(self._head)
        self._head += part[:room]
        self._tail = (self._tail + part[max(0, room) :])[-LOG_PART:]

    @property
    def brief(self) -> str:
        """The first and the last BRIEF bytes."""
        whole = self._head + self._tail
        if self._size <= 2 * BRIEF:
            return _text(whole)
        left_out = self._size - 2 * BRIEF
        return f"{_text(whole[:BRIEF])}\n[… {left_out} bytes left out …]\n{_text(whole[-BRIEF:])}"

    @property
    def head(self) -> str:
        return _text(self._head)

    @property
    def tail(self) -> str:
        return _text(self._tail)


def _text(part: bytes) -> str:
    return part.decode(errors="replace")


class Output:
    """A result as it streams in: digested, in memory up to INLINE_LIMIT, beyond that in a file.

    Room for the file is claimed of `disk`, where one is given.
    """

    def __init__(self, spool: Path, disk: Disk | None = None) -> None:
        self._spool, self._disk = spool, disk
        self._claims = contextlib.ExitStack()
        self._claim: Claim | None = None
        self._hash = hashlib.sha256()
        self._small = b""
        self._file: IO[bytes] | None = None
        self._path: Path | None = None
        self.size = 0
        self.overflow = False

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._claims.close()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def add(self, part: bytes) -> bool:
        """Take a part; False once it is too much, and nothing more is kept then. Raises NoRoom."""
        self.size += len(part)
        if self.size > OUTPUT_LIMIT:
            self.overflow = True
            return False
        self._hash.update(part)
        if self._file is None and self.size > INLINE_LIMIT:
            descriptor, name = tempfile.mkstemp(dir=self._spool, prefix="result-")
            self._path, self._file = Path(name), os.fdopen(descriptor, "wb")
            if self._disk is not None:
                self._claim = self._claims.enter_context(self._disk.claim(self._path))
                self._claim.grow(len(self._small))
            self._file.write(self._small)
        if self._file is None:
            self._small += part
        else:
            if self._claim is not None:
                self._claim.grow(len(part))
            self._file.write(part)
        return True

    def take(self) -> bytes | Path:
        """The result; a file is the caller's from now on."""
        if self._file is None or self._path is None:
            return self._small
        self._file.close()
        path, self._path = self._path, None
        return path
