"""The routes of one master, called by any number of threads: each has a connection of its own."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, TypeVar
from weakref import WeakSet

from requests import Response

from .protocol.people import AuditPage
from .protocol.transport import Connection
from .protocol.views import ChunkPage, ClientPage, JobPage, ResultFiles

T = TypeVar("T")
P = TypeVar("P", JobPage, ChunkPage, ClientPage, ResultFiles, AuditPage)

PAGE = 500


class Master:
    """Methods raise what Connection's do: the DockercompError of the answer, Unavailable without one."""

    def __init__(self, url: str, token: str, *, retries: int = 3, pin: str = "") -> None:
        self.url = url.rstrip("/")
        self._token, self._retries, self._pin = token, retries, pin
        self._own = threading.local()
        self._all: WeakSet[Connection] = WeakSet()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections of all threads; a later call opens one again."""
        with self._lock:
            for connection in self._all:
                connection.close()

    def call(self, name: str, answer: type[T], message: object = None, **options: Any) -> T:
        """Call the route `name`; see Connection.call."""
        return self._connection().call(name, answer, message, **options)

    def request(self, name: str, **options: Any) -> Response:
        """Call a route whose answer is no JSON; see Connection.request."""
        return self._connection().request(name, **options)

    def read_parts(
        self, name: str, *, start: int = 0, params: Mapping[str, str] | None = None, **parts: str
    ) -> Iterator[bytes]:
        """The bytes behind a ranged route from `start` on, in checked parts."""
        return self._connection().read_parts(name, start=start, params=params, **parts)

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Those of at most 10,000 blobs that the master does not have."""
        return self._connection().missing(digests)

    def upload(self, digest: str, size: int, source: IO[bytes], told: Callable[[int], None] = lambda _: None) -> None:
        """Send what the master does not have of the blob `digest`; see Connection.upload."""
        self._connection().upload(digest, size, source, told)

    def pages(self, name: str, kind: type[P], params: dict[str, str] | None = None, **parts: str) -> Iterator[P]:
        """All pages of a paged route, each asked for when it is needed."""
        cursor: str | None = ""
        while cursor is not None:
            wanted: dict[str, Any] = {"limit": PAGE, **(params or {}), **({"cursor": cursor} if cursor else {})}
            page = self.call(name, kind, params=wanted, **parts)
            yield page
            cursor = page.next

    def _connection(self) -> Connection:
        found: Connection | None = getattr(self._own, "connection", None)
        if found is None:
            found = self._own.connection = Connection(self.url, self._token, retries=self._retries, pin=self._pin)
            with self._lock:
                self._all.add(found)
        return found
