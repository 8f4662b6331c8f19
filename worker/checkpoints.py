"""Checkpoints of chunks on the volunteer's disk: kept while the chunk may yet run again here, and forgotten then.

For each there are two files: what the program saved, and the lease and the signed order, from which a worker that was
killed goes on. Both are replaced whole. What is older than a day is of no use any more.
"""

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from dockercomp.protocol.messages import Lease, Message, SignedOrder

LARGEST = 64 * 2**20
MOST_TOGETHER = 2 * 2**30
"""Bytes of all checkpoints of a worker; beyond that no further one is kept."""
_LONGEST = 24 * 3600.0
_STATE, _LEASE = ".checkpoint", ".lease"
_NAME = re.compile(r"(.+)\.\d+\.\d+")


class Claim(Message, frozen=True, kw_only=True):
    """A lease to go on with after a restart. `until` is when it ends, by this machine's clock."""

    lease: Lease
    order: SignedOrder
    until: float


class Checkpoints:
    """Safe for many threads, of which one at a time runs a given chunk."""

    def __init__(self, home: Path) -> None:
        self._root = home / "worker" / "checkpoints"

    def saved(self, job: str, stage: int, index: int) -> Path | None:
        """The last checkpoint of a chunk."""
        if not self._root.exists():  # almost always
            return None
        path = self._path(job, stage, index, _STATE)
        return path if path.exists() else None

    def saving(self, job: str, stage: int, index: int) -> "Saving":
        self._root.mkdir(mode=0o700, exist_ok=True)
        return Saving(self._path(job, stage, index, _STATE), self._room)

    def claim(self, lease: Lease, order: SignedOrder, left_s: float) -> None:
        """Note the lease of a chunk that has a checkpoint, once. Raises OSError."""
        path = self._path(lease.job, lease.stage, lease.index, _LEASE)
        if path.exists() and _read(path).lease.id == lease.id:
            return
        made = path.with_suffix(f".{os.getpid()}")
        made.write_bytes(msgspec.json.encode(Claim(lease=lease, order=order, until=time.time() + left_s)))
        made.replace(path)

    def claims(self) -> Iterator[Claim]:
        """Leases that may still be ours after a restart; clears what is of no use any more."""
        now = time.time()
        for path in sorted(self._root.glob("*")) if self._root.exists() else []:
            if path.suffix not in (_STATE, _LEASE) or path.stat().st_mtime < now - _LONGEST:
                path.unlink(missing_ok=True)
            elif path.suffix == _LEASE:
                with contextlib.suppress(msgspec.DecodeError, OSError):
                    claim = _read(path)
                    if claim.until > now:
                        yield claim

    def drop(self, job: str, stage: int, index: int) -> None:
        """The chunk will not run again from there."""
        for suffix in (_LEASE, _STATE) if self._root.exists() else ():
            self._path(job, stage, index, suffix).unlink(missing_ok=True)

    def disown(self, leases: Collection[str]) -> None:
        """These leases are no longer ours."""
        for path in self._root.glob(f"*{_LEASE}") if leases and self._root.exists() else []:
            with contextlib.suppress(msgspec.DecodeError, OSError):
                lease = _read(path).lease
                if lease.id in leases:
                    self.drop(lease.job, lease.stage, lease.index)

    def drop_jobs(self, jobs: Iterable[str]) -> None:
        """These jobs ended."""
        ended = set(jobs)
        for path in self._root.glob("*") if ended and self._root.exists() else []:
            name = _NAME.fullmatch(path.stem)
            if name and name[1] in ended:
                path.unlink(missing_ok=True)

    def _room(self) -> int:
        return MOST_TOGETHER - sum(path.stat().st_size for path in self._root.glob(f"*{_STATE}"))

    def _path(self, job: str, stage: int, index: int, suffix: str) -> Path:
        return self._root / f"{job}.{stage}.{index}{suffix}"


class Saving:
    """One chunk's checkpoints as they stream in, one after the other. Closing it forgets one that came half."""

    def __init__(self, target: Path, room: Callable[[], int]) -> None:
        self._target, self._room = target, room
        self._file: IO[bytes] | None = None
        self._size = 0

    def add(self, part: bytes) -> int | None:
        """Take a part; an empty one ends the checkpoint, whose size is returned once it is safe on the disk. One for
        which there is no room is left out. Raises OSError."""
        if not part:
            return self._end()
        if self._file is None:
            self._file = tempfile.NamedTemporaryFile(dir=self._target.parent, suffix=".part", delete=False)  # noqa: SIM115
            self._size = 0
        self._size += len(part)
        if self._size <= LARGEST:
            self._file.write(part)
        return None

    def _end(self) -> int | None:
        file, size = self._file, self._size
        if file is None or size > LARGEST or size > self._room():
            self.close()
            return None
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self._file = None
        Path(file.name).replace(self._target)
        return size

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
            Path(file.name).unlink(missing_ok=True)


def _read(path: Path) -> Claim:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Claim)
