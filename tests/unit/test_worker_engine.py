"""What an engine may answer that no engine can be made to answer at will."""

import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from worker.engine import Engine, EngineError

_LATE = "Could not kill running container 1, cannot remove - Container 1 is not running"
"""Engine 20.10, where a container ends by itself between the look and the kill."""


class Answers(BaseHTTPRequestHandler):
    """An engine whose first removals fail; `server.still_running` says what it tells of the container."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        known = {"ApiVersion": "1.41", "State": {"Running": self.server.still_running}}
        self._say(200, known)

    def do_DELETE(self) -> None:
        self.server.asked += 1
        self._say(*((500, {"message": _LATE}) if self.server.asked <= self.server.failures else (204, {})))

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        body = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[tuple[Engine, Any]]:
    with tempfile.TemporaryDirectory(prefix="dct-") as folder:
        place = Path(folder, "s")
        with ThreadingUnixStreamServer(str(place), Answers) as server:
            server.daemon_threads = True
            answers: Any = server
            answers.asked, answers.failures, answers.still_running = 0, 1, False
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            made = Engine("test", f"unix://{place}")
            try:
                yield made, answers
            finally:
                made.close()
                server.shutdown()
                thread.join()


def test_a_container_that_ended_while_it_was_to_be_killed_is_removed_after_all(engine: tuple[Engine, Any]) -> None:
    made, answers = engine
    made.remove("1")
    assert answers.asked == 2


def test_a_container_that_cannot_be_killed_is_an_error(engine: tuple[Engine, Any]) -> None:
    made, answers = engine
    answers.still_running, answers.failures = True, 9
    with pytest.raises(EngineError, match="Could not kill"):
        made.remove("1")
    assert answers.asked == 1
