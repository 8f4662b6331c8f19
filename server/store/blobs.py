"""BlobStore: inputs, images, programs and large results, content-addressed by SHA-256.

The contract, which every store keeps (tests/integration/test_blobs.py is its conformance suite):

- A blob is named by the 64 hex digits of its SHA-256 and never changes. It is visible only whole, synced and checked.
- An upload grows by parts at increasing offsets; a part at another offset than the present end changes nothing, so a
  repeated part is harmless. The last part makes the blob, or, where the whole does not match its name, drops it all.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol

from dockercomp.protocol.errors import BadRequest, ChecksumMismatch, NotFound
from dockercomp.protocol.messages import PART_LIMIT

from .behind import Behind

_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1024 * 1024


class BlobReader(Protocol):
    """An open blob: `size` in bytes, and reads at any place."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end."""


class BlobStore(Protocol):
    def has(self, digest: str) -> bool:
        """Whether the blob is here whole. Where it is, it is in use from now on: see delete_unused."""

    def received(self, digest: str) -> int:
        """Bytes of an unfinished upload; its size where the blob is whole; 0 where nothing is here."""

    def same(self, digest: str, offset: int, data: bytes) -> bool:
        """Whether these bytes are what is here at `offset`, of a whole blob or of an unfinished upload."""

    def append(self, digest: str, offset: int, size: int, data: bytes) -> int:
        """Add a part of an upload of `size` bytes in all; returns the bytes now received.

        Raises ChecksumMismatch where the whole is not what its name says; nothing of it is kept then.
        """

    def put(self, data: bytes) -> str:
        """Store small data whole; returns its digest."""

    def put_stream(self, parts: Iterable[bytes]) -> str:
        """Store what may be large, part by part; returns its digest. Nothing is left where `parts` raises."""

    def open(self, digest: str) -> BlobReader:
        """Raises NotFound."""

    def delete_unused(self, digest: str, before: float) -> bool:
        """Remove the blob if it was neither stored nor asked for (`has`) since `before`, seconds since 1970; whether it
        was removed. Of calls at the same time either this one removes nothing, or the other finds nothing.

        `has` remembers when it was called to TOUCH_S seconds.
        """

    def unused_since(self, before: float) -> Iterator[str]:
        """The blobs that delete_unused would remove."""

    def drop_unfinished(self, before: float) -> None:
        """Forget uploads of which nothing arrived since `before`."""


TOUCH_S = 60.0


def check_digest(digest: str) -> str:
    """`digest` itself. Raises BadRequest where it is not 64 hex digits: nothing else ever becomes a path."""
    if not _DIGEST.fullmatch(digest):
        raise BadRequest("a digest is 64 lower-case hex digits")
    return digest


class DirectoryBlobs:
    """Blobs as files under one directory, for masters that share a file system: `ab/abcdef…`, uploads in `partial/`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        self._behind = Behind()

    def has(self, digest: str) -> bool:
        path = self._path(digest)
        try:
            if path.stat().st_mtime < time.time() - TOUCH_S:
                with self._locked(fcntl.LOCK_SH):
                    os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def received(self, digest: str) -> int:
        for path in (self._path(digest), self._partial / digest):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return 0

    def same(self, digest: str, offset: int, data: bytes) -> bool:
        for path in (self._path(digest), self._partial / check_digest(digest)):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(offset)
                return file.read(len(data)) == data
        return False

    def append(self, digest: str, offset: int, size: int, data: bytes) -> int:
        if len(data) > PART_LIMIT or offset + len(data) > size:
            raise BadRequest("a part is at most 8 MiB and ends within the upload's size")
        if self.has(digest):
            return self.received(digest)
        with (self._partial / check_digest(digest)).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two masters may take parts of one upload
            before = os.fstat(file.fileno())
            here = before.st_size
            if self.has(digest) or offset != here:
                return self.received(digest)
            file.write(data)
            file.flush()
            partial, after = self._partial / digest, os.fstat(file.fileno())
            if len(data) == size:
                self._finish(digest, file, hashlib.sha256(data).hexdigest())
            else:
                self._behind.wrote(partial, before, after, data)
                if after.st_size == size:
                    self._finish(digest, file, self._behind.digest(partial, after))
            return here + len(data)

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        offset = self.received(digest) if not self.has(digest) else len(data)
        while offset < len(data) or not self.has(digest):
            offset = self.append(digest, offset, len(data), data[offset : offset + PART_LIMIT])
        return digest

    def put_stream(self, parts: Iterable[bytes]) -> str:
        found = hashlib.sha256()
        descriptor, name = tempfile.mkstemp(dir=self._partial, prefix="stream-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    found.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            path = self._path(found.hexdigest())
            self._publish(Path(name), path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._sync(path)
        return found.hexdigest()

    def open(self, digest: str) -> BlobReader:
        try:
            return _FileReader(self._path(check_digest(digest)))
        except FileNotFoundError:
            raise NotFound(f"no blob {digest}") from None

    def delete_unused(self, digest: str, before: float) -> bool:
        path = self._path(digest)
        try:
            with self._locked(fcntl.LOCK_EX):
                if path.stat().st_mtime >= before:
                    return False
                path.unlink()
        except FileNotFoundError:
            return False
        return True

    def unused_since(self, before: float) -> Iterator[str]:
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            with os.scandir(folder) as found:
                yield from (each.name for each in found if each.stat().st_mtime < before)

    def drop_unfinished(self, before: float) -> None:
        for path in self._partial.iterdir():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if path.stat().st_mtime < before:
                    path.unlink()

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Among processes: shared by those who use blobs, alone for who removes one."""
        with (self._partial.parent / ".removing").open("a") as lock:
            fcntl.flock(lock, how)
            yield

    def _publish(self, whole: Path, path: Path) -> None:
        """A file that is whole and synced becomes the blob."""
        path.parent.mkdir(exist_ok=True)
        with self._locked(fcntl.LOCK_SH):
            whole.rename(path)

    def _path(self, digest: str) -> Path:
        return self._root / check_digest(digest)[:2] / digest

    def _finish(self, digest: str, file: IO[bytes], found: str | None) -> None:
        """`found` is the digest of its bytes, where that is known."""
        os.fsync(file.fileno())
        partial = self._partial / digest
        if found is None:
            with partial.open("rb") as whole:
                found = hashlib.file_digest(whole, "sha256").hexdigest()
        if found != digest:
            partial.unlink()
            raise ChecksumMismatch(f"the upload's SHA-256 is {found}, not {digest}; send it again from the beginning")
        path = self._path(digest)
        self._publish(partial, path)
        self._sync(path)

    def _sync(self, path: Path) -> None:
        for directory in (path.parent, self._root):
            _sync_directory(directory)


class _FileReader:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stream(reader: BlobReader, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes [start, stop) in blocks of 1 MiB."""
    end = reader.size if stop is None else stop
    while start < end:
        block = reader.read_at(start, min(_BLOCK, end - start))
        if not block:
            return
        yield block
        start += len(block)
