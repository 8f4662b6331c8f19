"""A result of several files as a folder: its bundles, one a chunk, are taken apart while they arrive.

Memory stays flat whatever the size; the folder appears whole or not at all.
"""

import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from .protocol.bundle import HEAD, BadBundle, directory_size, entries
from .protocol.errors import ChecksumMismatch


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A place beside `path`, for a file or folder that takes its name, and the place of what is there, at the end."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        _replace(temporary, path)
    finally:
        _remove(temporary)


def write_folder(folder: Path, parts: Iterable[bytes], names: Iterable[str]) -> None:
    """Make `folder` with the files of a result. `names` are those that the master gives them, in the order of the
    result: unique within it. Raises OSError; ChecksumMismatch where the two do not fit together."""
    stream, given = _Stream(parts), iter(names)
    folder.mkdir()
    try:
        for chunk in count():
            if not _write_chunk(folder, chunk, stream, given):
                break
    except BadBundle as error:
        raise ChecksumMismatch(f"the result did not arrive whole: {error}") from error
    if (left := next(given, None)) is not None:
        raise ChecksumMismatch(f"the master lists {left}, which the result does not hold")


def _write_chunk(folder: Path, chunk: int, stream: "_Stream", names: Iterator[str]) -> bool:
    """Write the files of the next chunk; False where there is none."""
    head = stream.take(HEAD)
    if not head:
        return False
    for entry in entries(head + stream.take(directory_size(head) - len(head))):
        name = next(names, "")
        if name not in (entry.name, f"{chunk:09d}/{entry.name}"):
            raise ChecksumMismatch(f"the result holds {entry.name} where the master lists {name or 'no more files'}")
        _write(_free_place(folder, name, chunk), stream.blocks(entry.size))
    return True


def _free_place(folder: Path, name: str, chunk: int) -> Path:
    """Where a file goes. Where one chunk's file is named as another's folder, below its chunk's number."""
    place = folder / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        place = folder / f"{chunk:09d}" / name
        place.parent.mkdir(parents=True, exist_ok=True)
    return folder / f"{chunk:09d}" / name if place.is_dir() else place


def _write(place: Path, blocks: Iterator[bytes]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as file:
        for block in blocks:
            file.write(block)


class _Stream:
    """Parts of any size, read by the byte."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._held = b""

    def take(self, size: int) -> bytes:
        """So many bytes, none at the end. Raises BadBundle where there are fewer."""
        found = b"".join(self._upto(size))
        if found and len(found) < size:
            raise BadBundle("the result ends in the middle of a chunk's files")
        return found

    def blocks(self, size: int) -> Iterator[bytes]:
        """So many bytes, as they come. Raises BadBundle where there are fewer."""
        left = size
        for block in self._upto(size):
            left -= len(block)
            yield block
        if left:
            raise BadBundle("the result ends in the middle of a file")

    def _upto(self, size: int) -> Iterator[bytes]:
        while size > 0:
            if not self._held:
                self._held = next(self._parts, b"")
                if not self._held:
                    return
            block, self._held = self._held[:size], self._held[size:]
            size -= len(block)
            yield block


def _replace(temporary: Path, path: Path) -> None:
    """Give `temporary` the name `path`; a folder cannot take another's place by one rename, so that one steps aside."""
    if not path.is_dir() and not temporary.is_dir():
        temporary.replace(path)
        return
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if path.exists():
        path.rename(aside)
    try:
        temporary.rename(path)
    except BaseException:
        if aside.exists():
            aside.rename(path)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
