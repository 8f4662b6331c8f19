"""The network volume of the last 24 hours, kept in a file so that a restart forgets nothing, and held to its limit."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.messages import PART_LIMIT

DAY = 24 * 3600.0
BUCKET = 600.0
"""Seconds that are counted together; they are forgotten together too, once the last of them is a day old."""
_UNSAVED = 2**20
"""Bytes after which the file is written at once; else with the next `save`."""


OVERDRAFT = 0.25
"""Of the limit, beyond it: for results of chunks that were taken before, and for staying in touch. Then all ends."""
_ATTEMPTS = 3
"""How often a part may come before it is given up, each time counted."""


class NetworkUsedUp(DockercompError):
    """DC_NETWORK_PER_DAY would be exceeded; the message says so to whoever asks why."""


class Ledger:
    """Safe for many threads, one process a DC_HOME. `limit` is in bytes, 0 for none, and may be set at any time."""

    def __init__(self, home: Path, limit: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self._file, self._clock = home / "worker" / "network.json", clock
        self._buckets = _read(self._file)
        self._reserved = self._unsaved = 0
        self._lock = threading.Lock()

    def count(self, size: int) -> None:
        """So many bytes went to or from somebody. Raises NetworkUsedUp once the overdraft is used up as well."""
        with self._lock:
            bucket = int(self._clock() // BUCKET)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + size
            self._unsaved += size
            full = self._unsaved >= _UNSAVED
            over = self.limit and self._used() > self.limit * (1 + OVERDRAFT)
        if full:
            self.save()
        if over:
            raise NetworkUsedUp(
                f"the volunteer's DC_NETWORK_PER_DAY of {self.limit} bytes is used up, and so is what is allowed beyond"
                " it for bringing results"
            )

    def used(self) -> int:
        """Bytes of the last 24 hours."""
        with self._lock:
            return self._used()

    @contextlib.contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Room for `size` bytes that are about to come; they are counted by whoever receives them.

        Raises NetworkUsedUp, before anything came, where they could exceed the limit.
        """
        with self._lock:
            if self.limit and self._used() + self._reserved + size > self.limit:
                raise NetworkUsedUp(
                    f"the volunteer's DC_NETWORK_PER_DAY has no room for {size} more bytes:"
                    f" {self._used()} of {self.limit} are used"
                )
            self._reserved += size
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= size

    def metered(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Parts of at most PART_LIMIT, each asked for only while there is room. Raises NetworkUsedUp."""
        while True:
            with self.reserved(_ATTEMPTS * PART_LIMIT):
                part = next(parts, None)
            if part is None:
                return
            yield part

    def counted(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Parts that nobody else counts."""
        for part in parts:
            self.count(len(part))
            yield part

    def resumes(self, size: int) -> float | None:
        """When there is room for `size` bytes, in seconds since the epoch; None where there is now."""
        with self._lock:
            over = self._used() + size - self.limit
            if not self.limit or over <= 0:
                return None
            for bucket in sorted(self._buckets):
                over -= self._buckets[bucket]
                if over <= 0:
                    return _end(bucket)
            return self._clock() + DAY

    def save(self) -> None:
        """Write the file where it is behind. A disk that is full is no reason to stop counting."""
        with self._lock:
            if self._unsaved:
                self._unsaved = 0
                with contextlib.suppress(OSError):
                    _write(self._file, self._buckets)

    def _used(self) -> int:
        now = self._clock()
        self._fold(int(now // BUCKET))
        self._buckets = {bucket: size for bucket, size in self._buckets.items() if _end(bucket) > now}
        return sum(self._buckets.values())

    def _fold(self, latest: int) -> None:
        """What a clock counted that was ahead counts as of now: it is not given away, nor kept until its date."""
        ahead = [bucket for bucket in self._buckets if bucket > latest]
        for bucket in ahead:
            size = self._buckets.pop(bucket)
            self._buckets[latest] = self._buckets.get(latest, 0) + size
            self._unsaved += size


def _end(bucket: int) -> float:
    """When the bucket is forgotten, in seconds since the epoch."""
    return (bucket + 1) * BUCKET + DAY


def _read(file: Path) -> dict[int, int]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[int, int])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _write(file: Path, buckets: dict[int, int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_suffix(".new")
    made.write_bytes(msgspec.json.encode(buckets))
    made.replace(file)
