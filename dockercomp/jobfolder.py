"""A job folder: job.toml, the program, and whatever else the program reads; packed as a tar that is always the same.

The same files give the same bytes on every machine (sorted names, no times, no owners), so the digest names the
program, and a folder that the master has already is not sent again.
"""

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from . import jobfile, jobprograms
from .jobfile import JobFile, JobFileError
from .protocol.orders import JobSpec

LARGEST_PROGRAM = 2**30
"""Bytes of a packed job folder; larger things are inputs or belong into the image."""

_IGNORED = frozenset({"__pycache__", ".git", ".hg", ".svn", ".venv", ".mypy_cache", ".ruff_cache", ".DS_Store"})
_IGNORED_SUFFIXES = (".pyc", ".pyo", "~", ".swp")


@dataclass(frozen=True)
class JobFolder:
    """A job folder that was read and checked."""

    path: Path
    file: JobFile

    @property
    def spec(self) -> JobSpec:
        return self.file.spec


@dataclass(frozen=True)
class Packed:
    """The tar of a job folder: SHA-256 and size in bytes."""

    digest: str
    size: int


def load(path: Path) -> JobFolder:
    """Read and check the job folder at `path`. Raises JobFileError naming what is wrong and where."""
    folder = JobFolder(path, jobfile.load(path))
    jobprograms.check(path, folder.file)
    return folder


def pack(folder: Path, target: io.BufferedRandom | io.BytesIO) -> Packed:
    """Write the folder's tar to `target`, a file open for reading and writing. Raises JobFileError."""
    start = target.tell()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _entries(folder, folder):
            _add(archive, folder, path)
            if target.tell() - start > LARGEST_PROGRAM:
                raise JobFileError(
                    f"{folder} is over 1 GiB: pass data as INPUT, or put what each chunk needs into the image"
                )
    size = target.tell() - start
    target.seek(start)
    return Packed(hashlib.file_digest(target, "sha256").hexdigest(), size)


def _entries(root: Path, folder: Path) -> Iterator[Path]:
    """Everything below `folder`, each folder before what is in it, in the order of names."""
    for path in sorted(folder.iterdir(), key=lambda entry: os.fsencode(entry.name)):
        if path.name in _IGNORED or path.name.endswith(_IGNORED_SUFFIXES):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _entries(root, path)


def _add(archive: tarfile.TarFile, folder: Path, path: Path) -> None:
    name = path.relative_to(folder).as_posix()
    entry = tarfile.TarInfo(_printable(path, name))
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, _inside(folder, path), 0o777
        archive.addfile(entry)
    elif stat.S_ISDIR(status.st_mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        with _open(path) as file:
            archive.addfile(entry, file)
    else:
        raise JobFileError(f"{path} is neither a file, a folder nor a link; take it out of the job folder")


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise JobFileError(f"{path} cannot be read: {error.strerror}") from error


def _printable(path: Path, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise JobFileError(f"{os.fsencode(path)!r}: its name is not UTF-8; rename it") from None
    return name


def _inside(folder: Path, link: Path) -> str:
    """The link's target, if it stays inside `folder`. Raises JobFileError."""
    target = os.readlink(link)  # noqa: PTH115  (the text of the link, unchanged)
    reached = (link.parent / target).resolve()
    if PurePosixPath(target).is_absolute() or not reached.is_relative_to(folder.resolve()):
        raise JobFileError(f"{link} is a link to {target}, outside of the job folder; put a copy in its place")
    return target


# --- what a command needs -------------------------------------------------------------------------------------------
