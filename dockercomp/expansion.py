"""What the INPUTs of a command line stand for: files, folders, patterns, archives, URLs, results of other jobs.

Nothing is read but names, in an order that is the same each time: as given, those of a folder or pattern by name.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from .archives import is_packed, unpacked
from .protocol.orders import InputSpec
from .protocol.patterns import matches
from .protocol.views import InputFile
from .source import InputError, Source, file_source

_URLS = ("http://", "https://")
_JOB = "job:"


def expand(spec: InputSpec, given: Sequence[str | Path]) -> Iterator[Source | InputFile]:
    """Everything that the INPUTs stand for; an InputFile where it is read elsewhere. Raises InputError."""
    unpack = spec.unpack if spec.unpack is not None else spec.split != "files"
    for each in given:
        text = str(each)
        if text.startswith(_URLS):
            yield _at_url(text, unpack)
        elif text.startswith(_JOB):
            yield InputFile(name=text.removeprefix(_JOB), job=text.removeprefix(_JOB))
        else:
            yield from _local(Path(each), spec.include, unpack)


def _at_url(url: str, unpack: bool) -> InputFile:
    parts = urlsplit(url)
    if not parts.hostname:
        raise InputError(f"{url} names no host")
    name = unquote(PurePosixPath(parts.path).name) or parts.hostname
    if unpack and is_packed(name):
        raise InputError(
            f"{url} is compressed, and is not unpacked where it is read; fetch it and give the file, or set"
            " unpack = false in [input]"
        )
    return InputFile(name=name, url=url)


def _local(given: Path, include: Sequence[str], unpack: bool) -> Iterator[Source]:
    if given.is_dir():
        yield from _folder(given, include, unpack)
    elif given.exists():
        yield from _file(given, include, unpack)
    elif glob.has_magic(str(given)):
        yield from _pattern(given, include, unpack)
    else:
        raise InputError(f"{given} does not exist")


def _file(given: Path, include: Sequence[str], unpack: bool) -> Iterator[Source]:
    if not given.is_file():
        raise InputError(f"{given} is neither a file nor a folder; write it to a file first")
    if given.stat().st_size == 0:
        raise InputError(f"{given} is empty")
    if unpack and is_packed(given.name):
        yield from _some(unpacked(given.name, given), include, f"{given} holds no file")
    else:
        yield file_source(_printable(given.name), str(given))


def _folder(given: Path, include: Sequence[str], unpack: bool) -> Iterator[Source]:
    found = _each(_below(given, ""), include, unpack)
    empty = f"{given} is an empty folder (files whose name begins with a dot do not count)"
    yield from _some(found, (), f"no file of {given} matches include = {list(include)}" if include else empty)


def _pattern(given: Path, include: Sequence[str], unpack: bool) -> Iterator[Source]:
    """Files that a pattern matches which the shell left alone, named by their path below its fixed part."""
    fixed = Path(*_fixed(given.parts))
    paths = sorted(glob.glob(str(given), recursive=True))  # noqa: PTH207  (`**` and relative patterns alike)
    files = ((path.relative_to(fixed).as_posix(), str(path)) for path in map(Path, paths) if path.is_file())
    yield from _some(_each(files, include, unpack), (), f"no file matches {given}")


def _fixed(parts: Sequence[str]) -> Iterator[str]:
    for part in parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _each(files: Iterator[tuple[str, str]], include: Sequence[str], unpack: bool) -> Iterator[Source]:
    for name, path in files:
        _printable(name)
        if not (unpack and is_packed(name)):
            if _taken(include, name):
                yield file_source(name, path)
        else:
            yield from (each for each in unpacked(name, Path(path)) if _taken(include, name, each.name))


def _taken(include: Sequence[str], *names: str) -> bool:
    return not include or any(matches(each, name) or fnmatchcase(name, each) for each in include for name in names)


def _some(found: Iterator[Source], include: Sequence[str], otherwise: str) -> Iterator[Source]:
    """What was found and is wanted; the error `otherwise` where that is nothing. Of an archive the patterns may also
    match what lies below its own name."""
    none = True
    for each in found:
        if _taken(include, each.name, each.name.partition("/")[2] or each.name):
            none = False
            yield each
    if none:
        raise InputError(otherwise + (f" that matches include = {list(include)}" if include else ""))


def _below(folder: Path, above: str) -> Iterator[tuple[str, str]]:
    """Name and path of all files below, in the order of the names as texts, so that no more than one folder a level is
    held. Hidden ones are left out, and folders that are links."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (entry.name + "/" * entry.is_dir(follow_symlinks=False), entry.path, entry.is_file())
                for entry in entries
                if not entry.name.startswith(".")
            )
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    for name, path, is_file in found:
        if name.endswith("/"):
            yield from _below(Path(path), above + name)
        elif is_file or not os.path.exists(path):  # noqa: PTH110  (a link to nothing is told when it is read)
            yield above + name, path


def _printable(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{os.fsencode(name)!r}: its name is not UTF-8; rename it") from None
    return name
