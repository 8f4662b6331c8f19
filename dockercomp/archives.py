"""Compressed files and archives, unpacked while they are read: never a whole member in memory, no file left behind.

A damaged, encrypted or unsafe member is an InputError that names the archive and the member.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Self, cast

from .source import InputError, Source, file_source, guarded, tried

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_COMPRESSED: dict[str, Callable[[IO[bytes]], io.BufferedIOBase]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_ARCHIVES = (*_TARS, ".zip")
_FOREIGN = (".zst", ".7z", ".rar", ".lz4", ".z")
_BLOCK = 1024 * 1024

LARGEST_RATIO = 1000
SMALL = 1024 * 1024 * 1024
"""What unpacks to more than SMALL bytes and to more than LARGEST_RATIO times its packed size is taken for a bomb."""


def bomb(packed: int, unpacked: int) -> str:
    """Why so many bytes are not unpacked; empty where they may be."""
    if unpacked <= max(SMALL, LARGEST_RATIO * packed):
        return ""
    return (
        f"unpacks to over {unpacked >> 20:,} MiB, more than {LARGEST_RATIO} times its size. If that is right, unpack it"
        " yourself and give the folder"
    )


def is_packed(name: str) -> bool:
    """Whether a file of that name is unpacked, or refused because it cannot be."""
    return name.lower().endswith((*_ARCHIVES, *_COMPRESSED, *_FOREIGN))


def unpacked(name: str, path: Path) -> Iterator[Source]:
    """What a packed file holds: a .gz one source without that suffix, an archive its members below its own stem. A
    source that cannot be had raises when it is opened, so that it may be left out."""
    low = name.lower()
    suffix = max((each for each in _ARCHIVES if low.endswith(each)), key=len, default="")
    if suffix:
        stem = name[: -len(suffix)]
        for member in _zipped(path) if suffix == ".zip" else _tarred(path):
            yield _plain(Source(f"{stem}/{member.name}", member.place, member.open))
    else:
        yield _plain(file_source(name, str(path)))


def _plain(source: Source) -> Source:
    """The source itself, or what it holds where it is compressed."""
    low = source.name.lower()
    if low.endswith(_FOREIGN):
        return _refused(source, "cannot be unpacked here: only .gz, .bz2, .xz, .zip and .tar can. Unpack it first")
    if low.endswith(_ARCHIVES):
        return _refused(source, "is an archive within an archive; unpack the outer one, then give the folder")
    suffix = next((each for each in _COMPRESSED if low.endswith(each)), None)
    if suffix is None:
        return source
    start = partial(_Both, source, _COMPRESSED[suffix])
    return Source(source.name[: -len(suffix)], source.place, partial(guarded, start, source.place))


def _refused(source: Source, why: str) -> Source:
    def refuse() -> AbstractContextManager[IO[bytes]]:
        raise InputError(f"{source.place} {why}, leave it out with include, or set unpack = false in [input]")

    return Source(source.name, source.place, refuse)


class _Both(io.RawIOBase):
    """A decompressing reader together with the file that it reads, closed as one."""

    def __init__(self, source: Source, reader: Callable[[IO[bytes]], io.BufferedIOBase]) -> None:
        self._outer = cast("IO[bytes]", source.open())
        self._inner, self._place = reader(self._outer), source.place
        self.seek, self.tell = self._inner.seek, self._inner.tell  # type: ignore[method-assign]

    def readinto(self, buffer: "WriteableBuffer") -> int:
        got = self._inner.readinto(buffer)
        if why := bomb(self._outer.tell(), self._inner.tell()):
            raise InputError(f"{self._place} {why}")
        return got

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._outer.close()
        super().close()


# --- zip -------------------------------------------------------------------------------------------------------------


def _zipped(path: Path) -> Iterator[Source]:
    with tried(lambda: zipfile.ZipFile(path), str(path)) as archive:
        for info in archive.infolist():
            if info.filename.endswith("/") or _hidden(name := _checked(info.filename, path)):
                continue
            place = f"{path}, member {name},"
            found = Source(name, place, partial(guarded, partial(_opened, archive, info), place))
            why = "is encrypted; unpack it with its password" if info.flag_bits & 1 else _swells(info)
            yield _refused(found, why) if why else found


def _swells(info: zipfile.ZipInfo) -> str:
    """Where a member is larger than it says, reading it fails."""
    return bomb(info.compress_size, info.file_size)


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> io.BufferedIOBase:
    return cast("io.BufferedIOBase", archive.open(info))


# --- tar -------------------------------------------------------------------------------------------------------------


def _tarred(path: Path) -> Iterator[Source]:
    try:
        archive = tarfile.open(path, "r:*", tarinfo=_Header)  # noqa: SIM115
    except (tarfile.ReadError, EOFError, zlib.error, lzma.LZMAError):
        raise InputError(f"{path} is no tar archive, or is damaged at its beginning; fetch or make it again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    packed, whole = path.stat().st_size, 0
    with archive:
        while (member := tried(archive.next, f"{path}, beyond what was read so far,")) is not None:
            whole += member.size
            if why := bomb(packed, whole):
                raise InputError(f"{path} {why}")
            archive.members = []  # type: ignore[attr-defined]  # else it keeps what describes each member
            if member.isdir() or _hidden(name := _checked(member.name, path)):
                continue
            place = f"{path}, member {name},"
            found = Source(name, place, partial(guarded, partial(_member, archive, member), place))
            yield found if member.isreg() else _refused(found, _LINK)
        while tried(
            lambda: archive.fileobj.read(_BLOCK), str(path)
        ):  # to the end, where a compressed one's checksum is
            pass


_LINK = "is a link or a device: make the archive again with tar --dereference --hard-dereference"


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> io.BufferedIOBase:
    found = archive.extractfile(member)
    assert found is not None  # it is a regular file
    return cast("io.BufferedIOBase", found)


class _Header(tarfile.TarInfo):
    """A member's header that is damaged or missing is an error: tarfile itself would take it for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"at byte {archive.offset:,}: {error}") from error


# --- names -----------------------------------------------------------------------------------------------------------


def _checked(name: str, archive: Path) -> str:
    """The member's name as a plain relative path."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InputError(
            f"{archive} holds a member named {name!r}, which would lie outside of the inputs; make the archive again"
            " with relative names"
        )
    return path.as_posix()


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
