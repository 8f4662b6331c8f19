"""The files that make up a result: chosen among those that the runner offers, in one order, as one bundle. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dockercomp.protocol import bundle
from dockercomp.protocol.patterns import matches

from .capture import OUTPUT_LIMIT

MOST_OFFERED = 100_000
_LONGEST_NAMES = 16 * 2**20
"""Bytes of all paths together."""
_FEW = 5
_REQUEST = 32 * 1024
"""Bytes of paths asked for at once: less than a socket holds, so that asking never waits."""


class NoResult(ValueError):
    """The files are no result; the message says why, for the scientist."""


@dataclass
class Gathering:
    """`patterns` as in ProgramSpec.outputs; `folder` is where they count from, for the eye."""

    patterns: Sequence[str]
    folder: str
    offered: dict[str, int] = field(default_factory=dict)
    """Sizes by path."""
    _chosen: list[str] = field(default_factory=list)
    _asked: list[str] = field(default_factory=list)
    _got: int = 0
    _names: int = 0

    def offer(self, payload: bytes) -> None:
        """Take an F frame. Raises NoResult."""
        if len(self.offered) == MOST_OFFERED:
            raise NoResult(f"the program left more than {MOST_OFFERED} files; let it write fewer, larger ones")
        self._names += len(payload)
        if self._names > _LONGEST_NAMES:
            raise NoResult(
                f"the names of the program's files are over {_LONGEST_NAMES >> 20} MiB; let it choose shorter ones"
            )
        path = payload[8:].decode(errors="surrogateescape")
        self.offered[path] = int.from_bytes(payload[:8], "little")

    def choose(self) -> bytes:
        """Everything of the bundle before its data. Raises NoResult where a pattern, or the whole, makes no sense."""
        chosen: set[str] = set()
        for pattern in self.patterns:
            found = {path for path in self.offered if matches(pattern, path)}
            if not found:
                raise NoResult(f"no file matches the output {pattern!r}; {self._there()}")
            chosen |= found
        self._chosen = sorted(chosen, key=_bytes)
        size = sum(self.offered[path] for path in chosen)
        if size > OUTPUT_LIMIT:
            raise NoResult(f"the result is larger than {OUTPUT_LIMIT >> 20} MiB")
        try:
            return bundle.directory((_text(path), self.offered[path]) for path in self._chosen)
        except bundle.BadBundle as error:
            raise NoResult(str(error)) from error

    def request(self) -> bytes:
        """The next paths to ask the runner for, each with a zero byte behind it; b"": there are no more."""
        self._asked = list(self._next())
        self._chosen = self._chosen[len(self._asked) :]
        self._got = 0
        return b"".join(_bytes(path) + b"\0" for path in self._asked)

    def received(self, size: int) -> None:
        self._got += size

    def ended(self) -> bool:
        """A file has come whole; True when it was the last of those asked for. Raises NoResult."""
        path = self._asked.pop(0)
        if self._got != self.offered[path]:
            raise NoResult(f"{_shown(path)} changed while it was collected; end what writes to it first")
        self._got = 0
        return not self._asked

    def _next(self) -> Iterator[str]:
        room = _REQUEST
        for path in self._chosen:
            room -= len(_bytes(path)) + 1
            if room < 0:
                return
            yield path

    def _there(self) -> str:
        if not self.offered:
            return f"the program left no files in {self.folder}"
        names = sorted(self.offered, key=_bytes)
        more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
        return f"in {self.folder} there are {', '.join(map(_shown, names[:_FEW]))}{more}"


def _bytes(path: str) -> bytes:
    return path.encode(errors="surrogateescape")


def _text(path: str) -> str:
    """Raises NoResult where it is not UTF-8: it would be another name elsewhere."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise NoResult(f"the name of {_shown(path)} is not UTF-8; call it otherwise") from None
    return path


def _shown(path: str) -> str:
    return _bytes(path).decode(errors="backslashreplace")
