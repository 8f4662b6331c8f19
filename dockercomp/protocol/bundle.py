"""A bundle: several named byte strings as one, so that they are digested, voted on and streamed like any result.

    magic "DCB1", u32 length of the directory, the directory, then the data of all entries in order
    directory: for each entry u32 length of its name, the name (UTF-8), u64 size

All numbers are little-endian. The directory stands first, so a reader knows from the first bytes where each entry lies.
A stage's result is a bundle where it has `outputs` (entries are paths, sorted by bytes) or `partitions` (entries
are "0", "1" …). Pure: no I/O.
"""

import struct
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

MAGIC = b"DCB1"
HEAD = 8
"""Bytes to read before the length of the directory is known."""
LARGEST_DIRECTORY = 16 * 2**20
LONGEST_NAME = 4096
LONGEST_PART = 255
"""Bytes of a file's or folder's own name: of the file systems that there are."""

_NO_NAMES = frozenset({"", ".", ".."})
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class BadBundle(ValueError):
    """Bytes that are no bundle, or one with names that may not become files."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`offset` counts from the beginning of the bundle."""

    name: str
    offset: int
    size: int


def directory(entries: Iterable[tuple[str, int]]) -> bytes:
    """Everything before the data, for entries (name, size) in the order of their data. Raises BadBundle."""
    packed = bytearray()
    for name, size in entries:
        word = checked_name(name).encode()
        packed += _U32.pack(len(word)) + word + _U64.pack(size)
    if len(packed) > LARGEST_DIRECTORY:
        raise BadBundle("too many files for one result (their names come to more than 16 MiB)")
    return MAGIC + _U32.pack(len(packed)) + bytes(packed)


def pack(entries: Sequence[tuple[str, bytes]]) -> bytes:
    """A small bundle whole."""
    return directory((name, len(data)) for name, data in entries) + b"".join(data for _, data in entries)


def directory_size(head: bytes) -> int:
    """Bytes before the data, HEAD included, from the first HEAD bytes. Raises BadBundle."""
    if len(head) < HEAD or head[:4] != MAGIC:
        raise BadBundle("this is no bundle")
    size = int(_U32.unpack_from(head, 4)[0])
    if size > LARGEST_DIRECTORY:
        raise BadBundle("the bundle's directory is too large")
    return HEAD + size


def entries(before_data: bytes) -> list[Entry]:
    """The entries, from all bytes before the data. Raises BadBundle."""
    end = directory_size(before_data)
    if len(before_data) < end:
        raise BadBundle("the bundle's directory is cut off")
    found: list[Entry] = []
    seen: set[str] = set()
    folders: set[str] = set()
    at, offset = HEAD, end
    while at < end:
        try:
            length = int(_U32.unpack_from(before_data, at)[0])
            word = before_data[at + 4 : at + 4 + length]
            size = int(_U64.unpack_from(before_data[:end], at + 4 + length)[0])
            name = checked_name(word.decode())
        except (struct.error, UnicodeDecodeError) as error:
            raise BadBundle("the bundle's directory cannot be read") from error
        if name in seen:
            raise BadBundle(f"the bundle holds {name} twice")
        seen.add(name)
        folders.update(folders_of(name, folders))
        found.append(Entry(name, offset, size))
        at += 12 + length
        offset += size
    if not seen.isdisjoint(folders):
        raise BadBundle(f"the bundle holds {min(seen & folders)} as a file and as a folder")
    return found


def folders_of(name: str, known: Container[str] = ()) -> Iterator[str]:
    """The folders that a path lies in, the innermost first, up to one that is `known`."""
    while (cut := name.rfind("/")) > 0 and (name := name[:cut]) not in known:
        yield name


def size_of(found: Sequence[Entry], before_data: int) -> int:
    """The size of the whole bundle, from its entries and the bytes before its data."""
    return found[-1].offset + found[-1].size if found else before_data


def checked_name(name: str) -> str:
    """A relative path without `..`, which a file can have. Raises BadBundle."""
    if not name or len(name.encode(errors="replace")) > LONGEST_NAME or "\0" in name:
        raise BadBundle("a file's name is empty, too long or holds a zero byte")
    parts = name.split("/")
    if len(name) * 4 > LONGEST_PART and any(len(part.encode(errors="replace")) > LONGEST_PART for part in parts):
        raise BadBundle(f"{name[:40]}… is no file's name: between its slashes are over {LONGEST_PART} bytes")
    if not _NO_NAMES.isdisjoint(parts):
        raise BadBundle(f"{name!r} is not a plain relative path")
    return name
