"""Job folders on a volunteer's disk: a tar, checked against its digest, unpacked so that nothing leaves its folder."""

import hashlib
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO

LARGEST = 1024 * 2**20
"""Bytes of a job folder, packed or unpacked."""
MOST_FILES = 20_000
_BLOCK = 4096
"""Bytes that even an empty file or folder takes."""


class BadProgram(ValueError):
    """A job folder that is not what its digest says, or that is not safe to unpack."""


class Programs:
    """The unpacked job folders under `root`, one a digest. Made whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def clear(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

    def ensure(self, digest: str, fetch: Iterable[bytes], grow: Callable[[int], None] = lambda _: None) -> Path:
        """The folder of `digest`, from `fetch` if it is not here yet. `grow` is told of each file before it is.

        Raises BadProgram, OSError, what `fetch` and `grow` do.
        """
        folder = self._root / digest
        if folder.is_dir():
            return folder
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._root) as file:
            _receive(file, digest, fetch)
            temporary = Path(tempfile.mkdtemp(dir=self._root))
            try:
                unpack(file, temporary, grow)
                temporary.chmod(0o755)
                temporary.rename(folder)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return folder

    def remove(self, digest: str) -> None:
        shutil.rmtree(self._root / digest, ignore_errors=True)


def _receive(file: IO[bytes], digest: str, parts: Iterable[bytes]) -> None:
    found, size = hashlib.sha256(), 0
    for part in parts:
        size += len(part)
        if size > LARGEST:
            raise BadProgram(f"the job folder is larger than {LARGEST // 2**20} MiB")
        found.update(part)
        file.write(part)
    if found.hexdigest() != digest:
        raise BadProgram(f"the job folder arrived with digest {found.hexdigest()}, not {digest}")
    file.seek(0)


def unpack(file: IO[bytes], folder: Path, grow: Callable[[int], None] = lambda _: None) -> None:
    """Files, folders and links of a tar into the empty `folder`; only the run bit of a mode is kept.

    Raises BadProgram for an absolute path, `..`, a link that leads out, a device, or too much. Links are made last, so
    that nothing is ever written through one.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            links = _unpack_files(archive, folder, grow)
    except tarfile.TarError as error:
        raise BadProgram(f"the job folder is not a readable tar: {error}") from error
    for place, target in links:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    for place, target in links:
        if PurePosixPath(target).is_absolute() or not place.resolve().is_relative_to(folder.resolve()):
            raise BadProgram(f"{place.name}: a link that leads out of the job folder")


def _unpack_files(archive: tarfile.TarFile, folder: Path, grow: Callable[[int], None]) -> list[tuple[Path, str]]:
    links, size, count = [], 0, 0
    for member in archive:
        place, count, size = _inside(folder, member.name), count + 1, size + member.size
        if size > LARGEST or count > MOST_FILES:
            raise BadProgram(f"the job folder unpacks to more than {LARGEST // 2**20} MiB or {MOST_FILES} files")
        grow(member.size + _BLOCK)
        if member.isdir():
            place.mkdir(parents=True, exist_ok=True)
        elif member.isfile():
            _write(place, archive.extractfile(member), executable=bool(member.mode & stat.S_IXUSR))
        elif member.issym():
            links.append((place, member.linkname))
        else:
            raise BadProgram(f"{member.name}: neither a file, a folder nor a link inside the job folder")
    return links


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise BadProgram(f"{name!r}: a path that leads out of the job folder")
    return folder / path


def _write(place: Path, source: IO[bytes] | None, *, executable: bool) -> None:
    assert source is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as out:
        shutil.copyfileobj(source, out)
    place.chmod(0o755 if executable else 0o644)
