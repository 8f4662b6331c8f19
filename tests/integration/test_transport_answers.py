"""Answers that no master gives: a client neither unpacks nor keeps what they would swell to, nor follows them."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dockercomp.protocol import transport
from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.messages import PART_LIMIT
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import Health

_BLOCK = b" " * 65536


class Hostile(BaseHTTPRequestHandler):
    """Plays what its server's `answer` names."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        getattr(self, self.server.answer)()  # type: ignore[attr-defined]

    def packed(self) -> None:
        body = gzip.compress(b" " * 10_000_000)
        self.head(200, len(body), ("Content-Encoding", "gzip"))
        self.wfile.write(body)

    def elsewhere(self) -> None:
        self.head(302, 0, ("Location", "http://127.0.0.1:1/secret"))

    def endless(self) -> None:
        self.head(200, 1 << 40)
        try:
            while True:
                self.wfile.write(_BLOCK)
        except OSError:
            self.close_connection = True

    def well(self) -> None:
        body = b'{"status": "ok"}'
        self.head(200, len(body))
        self.wfile.write(body)

    def head(self, status: int, length: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(length)), *headers):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hostile() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.asked = []  # type: ignore[attr-defined]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked(server: ThreadingHTTPServer, answer: str) -> Connection:
    server.answer = answer  # type: ignore[attr-defined]
    return Connection(f"http://127.0.0.1:{server.server_port}", "token", retries=0, timeout=20)


def test_a_compressed_answer_is_not_unpacked(hostile: ThreadingHTTPServer) -> None:
    with pytest.raises(DockercompError, match="in the form gzip"):
        asked(hostile, "packed").call("healthz", Health)
    assert hostile.asked[0][1]["Accept-Encoding"] == "identity"  # type: ignore[attr-defined]
    with pytest.raises(DockercompError, match="in the form gzip"):
        next(asked(hostile, "packed").read_parts("job_program", job="j1"))


def test_an_answer_that_leads_elsewhere_is_not_followed(hostile: ThreadingHTTPServer) -> None:
    with pytest.raises(DockercompError, match="leads to http"):
        asked(hostile, "elsewhere").call("healthz", Health)


def test_an_endless_answer_ends(hostile: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_LIMIT", PART_LIMIT)
    with pytest.raises(DockercompError, match="more than 8 MiB"):
        asked(hostile, "endless").call("healthz", Health)
    with pytest.raises(DockercompError, match="more than 8 MiB"):
        next(asked(hostile, "endless").read_parts("job_program", job="j1"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_of_the_environment_stands_before_loopback(
    hostile: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    hostile.answer = "well"  # type: ignore[attr-defined]
    assert Connection(f"http://{host}:{hostile.server_port}", retries=0).call("healthz", Health).status == "ok"
