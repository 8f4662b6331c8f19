"""The disk promise: everything of ours on the machine stays below DC_DISK, also while it arrives.

Whoever writes claims each part before it is written. What lies under DC_HOME is measured; what an engine holds for us
is told by the image store, which makes room by dropping images that no job of the moment needs.
"""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

MIB = 2**20
KEPT_FREE = 256 * MIB
"""Bytes of the file system that are left to the machine's owner, whatever the ceiling."""
_STEP = 4 * MIB
"""Claims grow by so much, so that a large file is not measured at each part."""
_MEASURE_EVERY_S, _UNLIMITED_EVERY_S = 5.0, 60.0
"""Seconds between two looks at the files; without a limit they are for the eye alone."""


class NoRoom(OSError):
    """DC_DISK, or the file system, has no room; the message says which and how much is used."""


class Disk:
    """Safe for many threads. `limit` is in bytes, 0 for none, and may be set at any time."""

    def __init__(self, home: Path, limit: int = 0) -> None:
        self.limit = limit
        self.images: Callable[[], int] = lambda: 0
        """Bytes that the engine holds for us."""
        self.make_room: Callable[[int], bool] = lambda _: False
        """Drop images that nobody needs, as many as hold so many bytes; whether any was dropped."""
        self._home = home
        self._claims: list[Claim] = []
        self.lock = threading.RLock()
        self._measured, self._files = float("-inf"), 0

    def used(self) -> int:
        """Bytes in files under DC_HOME, in images, and claimed."""
        with self.lock:
            if time.monotonic() - self._measured > (_MEASURE_EVERY_S if self.limit else _UNLIMITED_EVERY_S):
                self.measure()
            return self._files + self.images() + sum(claim.size for claim in self._claims)

    def measure(self) -> None:
        """Look at the files anew: something has gone, or came by another way."""
        with self.lock:
            claimed = {str(path) for claim in self._claims for path in claim.paths}
            self._files = sum(_sizes(self._home, claimed))
            self._measured = time.monotonic()

    @contextlib.contextmanager
    def claim(self, *paths: Path) -> Iterator["Claim"]:
        """A claim for what is about to be written to `paths`, given up at the end: then the files are measured."""
        made = Claim(self, paths)
        with self.lock:
            self._claims.append(made)
        try:
            yield made
        finally:
            with self.lock:
                self._claims.remove(made)
                self._files += sum(_taken(str(path)) for path in paths)

    def metered(self, parts: Iterable[bytes], *paths: Path) -> Iterator[bytes]:
        """The parts, each claimed before it is given on to be written. Raises NoRoom."""
        with self.claim(*paths) as claim:
            yield from claim.held(parts)

    def check(self, size: int) -> None:
        """Raises NoRoom where `size` bytes more could not be had, unused images dropped."""
        free = shutil.disk_usage(self._home).free - KEPT_FREE
        if size > free:
            raise NoRoom(f"only {max(0, free) // MIB} MiB of this file system may be used yet")
        if self.limit and self.used() + size > self.limit:
            self.measure()  # what has gone since may be enough
        while self.limit and (over := self.used() + size - self.limit) > 0:
            if size > self.limit or not self.make_room(over):
                raise NoRoom(
                    f"the volunteer's DC_DISK allows {self.limit // MIB} MiB, of which {self.used() // MIB} MiB are"
                    f" used: there is no room for {max(1, size // MIB)} MiB more"
                )


class Claim:
    """Bytes that are on their way to `paths`, which are not measured meanwhile."""

    def __init__(self, disk: Disk, paths: Iterable[Path]) -> None:
        self.paths, self.size = tuple(paths), 0
        self._disk, self.written = disk, 0

    def grow(self, size: int) -> None:
        """Before `size` bytes more are written. Raises NoRoom."""
        self.written += size
        if self.written > self.size:
            step = max(self.written - self.size, _STEP if self._disk.limit > 64 * _STEP else 0)
            with self._disk.lock:
                self._disk.check(step)
                self.size += step

    def check(self, size: int) -> None:
        """Raises NoRoom where so much more could not be claimed."""
        self._disk.check(size)

    def held(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """The parts, each claimed before it is given on to be written. Raises NoRoom."""
        for part in parts:
            self.grow(len(part))
            yield part

    def shrink(self, size: int) -> None:
        """So many bytes of what was written are gone again."""
        self.written -= size
        self.size -= size


def _sizes(folder: Path, without: set[str]) -> Iterator[int]:
    """What each file and folder takes, but for an engine's own store, whose images are counted as such."""
    for place, folders, files in os.walk(folder):
        if place == str(folder) and "docker" in folders:
            folders.remove("docker")
        for name in files:
            path = f"{place}/{name}"
            if path not in without:
                yield _taken(path)


def _taken(path: str) -> int:
    """Bytes of a file on the disk, also of those that are not there yet; 0 where it is gone."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0
    return max(found.st_size, found.st_blocks * 512)
