"""Lines sorted and divided among reducers: in memory where they are few, else through coreutils' sort and files.

Lines are ordered as by `LC_ALL=C sort`: by their bytes. A last line without its end gets one, so that no two lines of
different pieces ever become one. The same input gives the same bytes on every machine.
"""

import contextlib
import io
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from dockercomp.protocol import bundle
from dockercomp.protocol.messages import INLINE_LIMIT
from dockercomp.protocol.partition import NEWLINE, TAB, partition

IN_MEMORY = 2 * 2**20
"""Bytes that are sorted in memory at most."""
LONGEST_LINE = 64 * 2**20
_SORT_MEMORY = "64M"
_BLOCK = 1 << 20
_MOST_KEYS = 100_000

Cancelled = Callable[[], bool]


class NotLines(ValueError):
    """The bytes are not made of lines; the message says so, for the scientist."""


class Stopped(RuntimeError):
    """It is not wanted any more."""


def sort(data: bytes | Path, sizes: Sequence[int] | None, spool: Path, cancelled: Cancelled) -> bytes | Path:
    """All lines of `data`, which is made of pieces of so many bytes (None: of one), sorted. A path is a new file in
    `spool`, the caller's. Raises OSError, Stopped."""
    if _size(data) <= IN_MEMORY:
        lines = b"".join(_ended(data, sizes, cancelled)).split(NEWLINE)
        lines.pop()
        lines.sort()
        return _kept([_whole(lines)], spool)
    target = _new_file(spool)
    command = ["nice", "-n", "10", "sort", "-S", _SORT_MEMORY, "-T", str(spool), "-o", str(target), "--", "-"]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
            said = _feed(process, _ended(data, sizes, cancelled))
        if process.returncode:
            raise OSError(f"sort: {said}")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def divide(data: bytes | Path, partitions: int, spool: Path, cancelled: Cancelled) -> bytes | Path:
    """A bundle "0" … "partitions - 1": each line in the section its key falls to, in their order. A path is a new file
    in `spool`, the caller's. Raises OSError, NotLines, Stopped."""
    with tempfile.TemporaryDirectory(dir=spool, prefix="sections-") as folder:
        sections = _Sections(Path(folder), partitions)
        for lines in _lines(data, cancelled):
            sections.add(lines)
        return _kept(sections.bundle(), spool)


class _Sections:
    """Lines by the reducer they fall to: in memory while they are few, then each section in a file of its own."""

    def __init__(self, folder: Path, partitions: int) -> None:
        self._folder = folder
        self._held: list[list[bytes]] = [[] for _ in range(partitions)]
        self._of_key: dict[bytes, list[bytes]] = {}
        self._room = IN_MEMORY

    def add(self, lines: list[bytes]) -> None:
        for line in lines:
            key, tab, _ = line.partition(TAB)
            section = self._of_key.get(key) if tab else None
            if section is None:
                section = self._held[partition(line, len(self._held))]
                if tab:  # keys repeat: looking one up is cheaper than working it out
                    self._of_key[key] = section
            section.append(line)
        if len(self._of_key) > _MOST_KEYS:
            self._of_key.clear()
        self._room -= sum(map(len, lines)) + len(lines)
        if self._room < 0:
            self._flush()

    def _flush(self) -> None:
        for number, held in enumerate(self._held):
            with (self._folder / str(number)).open("ab") as file:
                file.write(_whole(held))
            held.clear()
        self._room = IN_MEMORY

    def bundle(self) -> Iterator[bytes]:
        """The whole bundle in blocks."""
        files = [self._folder / str(number) for number in range(len(self._held))]
        sizes = [
            (path.stat().st_size if path.exists() else 0) + sum(map(len, held)) + len(held)
            for path, held in zip(files, self._held, strict=True)
        ]
        yield bundle.directory((path.name, size) for path, size in zip(files, sizes, strict=True))
        for path, held in zip(files, self._held, strict=True):
            if path.exists():
                with path.open("rb") as file:
                    while block := file.read(_BLOCK):
                        yield block
            yield _whole(held)


def _whole(lines: list[bytes]) -> bytes:
    """With their ends."""
    return NEWLINE.join(lines) + NEWLINE if lines else b""


def _feed(process: "subprocess.Popen[bytes]", blocks: Iterator[bytes]) -> str:
    """What it said in the end."""
    assert process.stdin is not None and process.stderr is not None
    try:
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # its own words say why it ended early
            for block in blocks:
                stdin.write(block)
    except BaseException:
        process.kill()
        raise
    return process.stderr.read().decode(errors="replace").strip()[-300:]


def _lines(data: bytes | Path, cancelled: Cancelled) -> Iterator[list[bytes]]:
    """Whole lines without their ends, many at a time."""
    rest = b""
    for block in _ended(data, None, cancelled):
        lines = (rest + block).split(NEWLINE)
        rest = lines.pop()
        yield lines
        if len(rest) > LONGEST_LINE:
            raise NotLines(f"a line is longer than {LONGEST_LINE >> 20} MiB: is it made of lines at all?")


def _ended(data: bytes | Path, sizes: Sequence[int] | None, cancelled: Cancelled) -> Iterator[bytes]:
    """The data in blocks, with a line end after each piece that lacks one."""
    with _open(data) as file:
        for size in [_size(data)] if sizes is None else sizes:
            last, left = NEWLINE, size
            while left:
                if cancelled():
                    raise Stopped
                block = file.read(min(left, _BLOCK))
                if not block:
                    raise OSError("the input is shorter than its pieces")
                left -= len(block)
                last = block[-1:]
                yield block
            if last != NEWLINE:
                yield NEWLINE


def _kept(blocks: Iterable[bytes], spool: Path) -> bytes | Path:
    """In memory only what is small, as results and inputs are everywhere."""
    small, source = b"", iter(blocks)
    for block in source:
        small += block
        if len(small) > INLINE_LIMIT:
            break
    else:
        return small
    target = _new_file(spool)
    with target.open("wb") as file:
        file.write(small)
        file.writelines(source)
    return target


def _new_file(spool: Path) -> Path:
    descriptor, name = tempfile.mkstemp(dir=spool, prefix="lines-")
    os.close(descriptor)
    return Path(name)


def _open(data: bytes | Path) -> IO[bytes]:
    return io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size
