"""One input as it lies on the scientist's machine: a file, or what comes out of a compressed one."""

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, TypeVar, cast

from .protocol.errors import BadRequest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

_DAMAGE = (zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


class InputError(BadRequest):
    """An input that is missing, empty, unreadable, damaged, or that changed meanwhile; no job was made."""


@dataclass(frozen=True)
class Source:
    """`name` is its path as the program sees it, `place` where it lies, in words. `open` gives its bytes, seekable (at
    a cost, where they are compressed); opening and reading raise InputError. A member of an archive can be opened
    until the next one is asked for."""

    name: str
    place: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def file_source(name: str, path: str) -> Source:
    return Source(name, path, partial(guarded, partial(io.FileIO, path), path))


def guarded(start: Callable[[], io.RawIOBase | io.BufferedIOBase], place: str) -> IO[bytes]:
    """A stream all of whose errors are InputErrors that name `place`."""
    return cast("IO[bytes]", io.BufferedReader(_Guarded(start, place)))


def tried(act: Callable[[], T], place: str) -> T:
    """What `act` gives; its errors are InputErrors that name `place`."""
    try:
        return act()
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"{place} cannot be read: {error.strerror}") from error
        raise _damaged(place, str(error)) from error  # gzip, bz2: what they read is not theirs
    except EOFError as error:
        raise _damaged(place, "it ends in the middle") from error
    except _DAMAGE as error:
        raise _damaged(place, str(error)) from error
    except NotImplementedError as error:
        raise InputError(f"{place} cannot be unpacked here ({error}); unpack it, then give the folder") from error


def _damaged(place: str, reason: str) -> InputError:
    return InputError(f"{place} is damaged ({reason}); fetch or make it again, or leave it out. Nothing was submitted")


class _Guarded(io.RawIOBase):
    def __init__(self, start: Callable[[], io.RawIOBase | io.BufferedIOBase], place: str) -> None:
        self._place = place
        self._inner = tried(start, place)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        return tried(partial(self._inner.readinto, buffer), self._place)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return tried(partial(self._inner.seek, offset, whence), self._place)

    def tell(self) -> int:
        return self._inner.tell()

    def close(self) -> None:
        if not self.closed and hasattr(self, "_inner"):
            self._inner.close()
        super().close()
