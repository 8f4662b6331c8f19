"""Inputs that the worker reads itself, at URLs: as far as the volunteer lets it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dockercomp.protocol.boundaries import line_start
from dockercomp.protocol.errors import InvalidJob, Unavailable
from dockercomp.protocol.messages import PART_LIMIT, Fetch
from dockercomp.protocol.remote import RemoteReader

from .patience import patiently

Reach = Literal["none", "public", "any"]
"""Which URLs: none, those of the public internet, or those of the volunteer's own network too."""
REACHES: tuple[Reach, ...] = get_args(Reach)

MOST_TRIES = 12
"""Of one part, over a minute and a half."""
_WAY_OUT = "; the volunteer can allow it with DC_FETCH=any"

Wait = Callable[[float], bool]
"""Waits so many seconds; False where the input is not wanted any more."""


class NotRead(InvalidJob):
    """The volunteer's worker reads no URLs at all: no chunk of such a job can run here."""


def parts(fetches: Sequence[Fetch], reach: Reach, wait: Wait) -> Iterator[bytes]:
    """The input that is made of these spans, in parts of at most PART_LIMIT.

    Raises InvalidJob where a URL changed, does not answer in time or may not be read here; GivenUp.
    """
    if reach == "none":
        raise NotRead("this volunteer's worker reads no URLs (DC_FETCH=none)")
    for fetch in fetches:
        private = reach == "any"
        remote = RemoteReader(fetch.url, fetch.size, fetch.etag, private=private, way_out=_WAY_OUT)
        try:
            yield from _span(fetch, _PatientReader(remote, wait))
        finally:
            remote.close()


def _span(fetch: Fetch, reader: "_PatientReader") -> Iterator[bytes]:
    at, stop = fetch.start, min(fetch.stop, fetch.size)
    if fetch.lines:
        at, stop = line_start(reader, at), line_start(reader, stop)
    if fetch.prefix:
        yield fetch.prefix
    while at < stop:
        part = reader.read_at(at, min(PART_LIMIT, stop - at))
        at += len(part)
        yield part


@dataclass(frozen=True)
class _PatientReader:
    """Tries again what does not answer now."""

    remote: RemoteReader
    wait: Wait

    @property
    def size(self) -> int:
        return self.remote.size

    def read_at(self, offset: int, length: int) -> bytes:
        tries = 1

        def go_on(pause: float, problem: Exception) -> bool:
            nonlocal tries
            if tries == MOST_TRIES:
                raise InvalidJob(f"{problem} (tried {tries} times)") from problem
            tries += 1
            return self.wait(pause)

        return patiently(lambda: self.remote.read_at(offset, length), (Unavailable,), go_on)
