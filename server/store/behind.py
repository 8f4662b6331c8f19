"""What an upload needs beside being received: its digest, and its bytes on the disk. Both follow a part behind, in a
thread of their own, so that the last part of a large upload is answered as soon as the first."""

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

_UPLOADS = 64
"""Most uploads that are followed at once; the digest of any other is found by reading it again."""
_SYNC_EACH = 64 * 2**20
"""Bytes after which what was received is brought to the disk."""

_Mark = tuple[int, int, int]


@dataclass
class _Upload:
    seen: _Mark
    """The file as this process left it: had another written to it since, it would differ."""
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    pending: Future[None] | None = None


class Behind:
    """Safe for many threads; the parts of one upload come one after the other. Forgets at will."""

    def __init__(self) -> None:
        self._uploads: OrderedDict[Path, _Upload] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")

    def wrote(self, path: Path, before: os.stat_result, after: os.stat_result, data: bytes) -> None:
        """`data` was added to the upload at `path`. Raises OSError where an earlier part did not reach the disk."""
        with self._lock:
            upload = self._uploads.pop(path, None)
        if before.st_size == 0:
            upload = _Upload(_mark(before))
        if upload is None or upload.seen != _mark(before):
            return
        if upload.pending is not None:
            upload.pending.result()  # at most one part waits
        upload.seen = _mark(after)
        sync = after.st_size // _SYNC_EACH > before.st_size // _SYNC_EACH
        upload.pending = self._thread.submit(_take, upload, path if sync else None, data)
        with self._lock:
            self._uploads[path] = upload
            if len(self._uploads) > _UPLOADS:
                self._uploads.popitem(last=False)

    def digest(self, path: Path, now: os.stat_result) -> str | None:
        """SHA-256 of the upload; None where this process has not seen all of it. Raises as `wrote` does."""
        with self._lock:
            upload = self._uploads.pop(path, None)
        if upload is None or upload.seen != _mark(now):
            return None
        if upload.pending is not None:
            upload.pending.result()
        return upload.digest.hexdigest()


def _mark(status: os.stat_result) -> _Mark:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _take(upload: _Upload, sync: Path | None, data: bytes) -> None:
    upload.digest.update(data)
    if sync is None:
        return
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(sync, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
