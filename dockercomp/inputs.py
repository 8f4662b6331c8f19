"""The input files of a job as they lie on the scientist's machine: found, named, measured, before anything is sent."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .protocol.errors import BadRequest
from .protocol.orders import JobSpec
from .protocol.views import InputFile


class InputError(BadRequest):
    """An input that is missing, empty or unreadable; nothing was sent."""


@dataclass(frozen=True)
class LocalInput:
    """One input file. `name` is its path as the program sees it: below the INPUT folder, or the file's own name."""

    name: str
    path: Path
    size: int
    digest: str

    @property
    def wire(self) -> InputFile:
        return InputFile(name=self.name, digest=self.digest, size=self.size)


def collect(spec: JobSpec, paths: Sequence[Path]) -> list[LocalInput]:
    """The inputs of a job, read once for their digests; a folder stands for all files below it, hidden ones left out.

    In the order given, those of a folder by name; all by name for a files split. Raises InputError.
    """
    if spec.input.split == "range":
        if paths:
            raise InputError(f'a job with split = "range" takes no INPUT, but {paths[0]} was given')
        return []
    if not paths:
        raise InputError(f'a job with split = "{spec.input.split}" needs at least one INPUT: a file or a folder')
    found = [(name, path) for given in paths for name, path in _files(given)]
    _check_names(found)
    if spec.input.split == "files":
        found.sort()
    inputs = [_read(name, path) for name, path in found]
    if spec.input.split != "files" and not any(each.size for each in inputs):
        raise InputError("there is nothing in the inputs: every file is empty")
    return inputs


def _files(given: Path) -> Iterable[tuple[str, Path]]:
    """The name and path of each file that one INPUT stands for."""
    if given.is_dir():
        found = [(path.relative_to(given).as_posix(), path) for path in _below(given)]
        if not found:
            raise InputError(f"{given} is an empty folder (files whose name begins with a dot do not count)")
        return sorted(found)
    if not given.exists():
        raise InputError(f"{given} does not exist")
    if not given.is_file():
        raise InputError(f"{given} is neither a file nor a folder; write it to a file first")
    if given.stat().st_size == 0:
        raise InputError(f"{given} is empty")
    return [(given.name, given)]


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(root, name)
            if not name.startswith(".") and (path.is_file() or not path.exists()):
                yield path


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error


def _check_names(found: Iterable[tuple[str, Path]]) -> None:
    seen: dict[str, Path] = {}
    for name, path in found:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{os.fsencode(path)!r}: its name is not UTF-8; rename it") from None
        if name in seen:
            raise InputError(f"{seen[name]} and {path} would both be named {name}; give the folder above them instead")
        seen[name] = path


def _read(name: str, path: Path) -> LocalInput:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return LocalInput(name, path, file.tell(), digest)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
