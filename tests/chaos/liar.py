"""A client that enrols like any other and gives wrong answers at once."""

import secrets
import threading
from types import TracebackType

from dockercomp.protocol.messages import PROTOCOL, EnrolAnswer, EnrolRequest, ResultReport, SyncAnswer, SyncRequest
from dockercomp.protocol.transport import Connection
from tests.integration.simulated import CEILING, MACHINE, done


class Liar:
    """Lies from `with` to its end, in a thread of its own."""

    def __init__(self, url: str, token: str) -> None:
        request = EnrolRequest(token=token, machine=MACHINE, ceiling=CEILING, request=secrets.token_hex(8))
        answer = Connection(url).call("enrol", EnrolAnswer, request)
        self.id = answer.client
        self._connection = Connection(url, f"{answer.client}.{answer.secret}")
        self._stop = threading.Event()
        self._lied = threading.Event()
        self._thread = threading.Thread(target=self._lie)

    def __enter__(self) -> "Liar":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait_until_it_lied(self) -> None:
        assert self._lied.wait(60), "the liar was given no chunk"

    def _lie(self) -> None:
        results: list[ResultReport] = []
        seq = 0
        while not self._stop.wait(0.1):
            seq += 1
            request = SyncRequest(
                protocol=PROTOCOL,
                session="liar",
                seq=seq,
                results=results,
                want=2,
                machine=MACHINE,
                ceiling=CEILING,
            )
            answer = self._connection.call("sync", SyncAnswer, request)
            if any(ack.status == "stored" for ack in answer.acks):
                self._lied.set()
            results = [done(lease.id, b"0 is the answer\n") for lease in answer.leases]
