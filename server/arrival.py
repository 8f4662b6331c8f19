"""When a request has arrived far enough to be given a thread, and how fast the rest must come. Pure.

A thread is given to a request whose head is there, and whose body is there too if it has at most WHOLE bytes. So who
sends slowly without credentials holds memory, never a thread: routes that anybody may call take no larger bodies.
"""

import re

WHOLE = 64 * 1024
"""Bodies up to so many bytes are awaited before a thread is taken."""
HEAD_LIMIT = 32 * 1024
ARRIVAL_S = 20.0
"""Time for a connection's TLS handshake, head and small body, from its first byte or from being accepted."""
GRACE_S = 20.0
LEAST_RATE = 16 * 1024
"""Bytes a second that a larger body must bring on average, once GRACE_S are over."""

_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*$", re.IGNORECASE)


class HeadTooLarge(ValueError):
    """A head that is longer than any of ours."""


class Arrival:
    """The bytes of one request so far."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._needed: int | None = None
        self._searched = 0

    def add(self, data: bytes) -> bool:
        """Take in more bytes; True once a thread may be given. Raises HeadTooLarge."""
        self.data += data
        if self._needed is None:
            self._needed = self._find_end()
        return self._needed is not None and len(self.data) >= self._needed

    def _find_end(self) -> int | None:
        end = self.data.find(b"\r\n\r\n", self._searched)
        self._searched = max(0, len(self.data) - 3)
        if end < 0:
            if len(self.data) > HEAD_LIMIT:
                raise HeadTooLarge
            return None
        if end > HEAD_LIMIT:
            raise HeadTooLarge
        length = _length(bytes(self.data[:end]))
        return end + 4 + (length if length <= WHOLE else 0)


def _length(head: bytes) -> int:
    """What the head says of its body. Where it says nothing, or contradicts itself, the parser has the word."""
    found = [int(match[1]) for line in head.split(b"\r\n")[1:] if (match := _LENGTH.match(line))]
    return found[0] if len(set(found)) == 1 else 0


def seconds_left(elapsed: float, received: int) -> float:
    """How much longer a body that brought `received` bytes in `elapsed` seconds may keep its thread."""
    return GRACE_S + received / LEAST_RATE - elapsed
