"""The parts of a file that is sent: read and digested one ahead, while the one before is on its way."""

import base64
import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO, NamedTuple

from .messages import PART_LIMIT


def content_digest(data: bytes) -> str:
    """The Content-Digest header of `data` (RFC 9530, sha-256)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


class Part(NamedTuple):
    offset: int
    data: bytes
    digest: str
    """Its Content-Digest."""


class Parts:
    """A context: at its end no thread reads the file any more."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self._source, self._size = source, size
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parts")
        self._next: Future[Part] | None = None

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def at(self, offset: int) -> Part:
        """The part that begins there, of PART_LIMIT bytes but the last one; begins on the one after it.

        Raises OSError.
        """
        part = self._next.result() if self._next is not None else None
        if part is None or part.offset != offset:
            part = self._read(offset)
        after = offset + len(part.data)
        self._next = self._thread.submit(self._read, after) if part.data and after < self._size else None
        return part

    def _read(self, offset: int) -> Part:
        self._source.seek(offset)
        data = self._source.read(min(PART_LIMIT, self._size - offset))
        return Part(offset, data, content_digest(data))
