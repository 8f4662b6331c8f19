"""The master as the worker calls it: the only HTTP client of the daemon. Each thread has a connection of its own."""

import email.utils
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

from dockercomp.protocol import messages
from dockercomp.protocol.keychain import KeyChain
from dockercomp.protocol.transport import Connection

_JSON = {"Content-Type": "application/json"}


class MasterClient:
    """Raises DockercompError and its kin, Unavailable where there is no answer. Safe for many threads."""

    def __init__(
        self, url: str, token: str = "", count: Callable[[int], None] = lambda _: None, *, pin: str = ""
    ) -> None:
        """`count` is told of every byte that goes to the master or comes from it; `pin` is the one certificate that is
        trusted, where it is given."""
        self.url = url
        self._token, self._count, self._pin = token, count, pin
        self._own = threading.local()

    def authorised(self, client: str, secret: str) -> "MasterClient":
        """The same master, called as an enrolled client."""
        return MasterClient(self.url, f"{client}.{secret}", self._count, pin=self._pin)

    def reauthorise(self, client: str, secret: str) -> None:
        """Call the master with these credentials from now on, in all threads."""
        self._token, self._own = f"{client}.{secret}", threading.local()

    def enrol(self, request: messages.EnrolRequest) -> messages.EnrolAnswer:
        return self._once().call("enrol", messages.EnrolAnswer, request)

    def sync(self, body: bytes) -> messages.SyncAnswer:
        """One sync with an encoded SyncRequest; fails at once without an answer, the loop decides when to repeat."""
        return self._once().call("sync", messages.SyncAnswer, body=body, headers=_JSON)

    def key_chain(self) -> KeyChain:
        return self._once().call("master_keys", KeyChain)

    def input_parts(self, lease: str) -> Iterator[bytes]:
        return self._patient().read_parts("lease_input", lease=lease)

    def pieces(self, lease: str) -> list[messages.Piece]:
        return self._patient().call("lease_pieces", list[messages.Piece], lease=lease)

    def program_parts(self, job: str) -> Iterator[bytes]:
        return self._patient().read_parts("job_program", job=job)

    def image_parts(self, job: str) -> Iterator[bytes]:
        return self._patient().read_parts("job_image", job=job)

    def upload(self, digest: str, size: int, source: IO[bytes], told: Callable[[int], None]) -> None:
        """`told` gets the bytes that each part brought."""
        self._patient().upload(digest, size, source, told, awaited=True)

    def clock_offset(self) -> float:
        """Seconds that this machine's clock is ahead of the master's, to about a second."""
        response = self._once().request("healthz")
        theirs = email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
        return time.time() - theirs

    def check_credentials(self) -> None:
        """Raises Unauthorized where the credentials are not accepted (any more), NotFound where all is well."""
        self._once().request("lease_pieces", lease="none")

    def _once(self) -> Connection:
        self._count(0)  # raises where nothing may be sent any more
        if not hasattr(self._own, "once"):
            self._own.once = Connection(self.url, self._token, retries=0, pin=self._pin)
            self._own.once.count = self._count
        connection: Connection = self._own.once
        return connection

    def _patient(self) -> Connection:
        self._count(0)
        if not hasattr(self._own, "patient"):
            self._own.patient = Connection(self.url, self._token, pin=self._pin)
            self._own.patient.count = self._count
        connection: Connection = self._own.patient
        return connection
