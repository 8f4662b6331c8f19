"""Callers that send a byte at a time hold no thread: gunicorn with our worker class, one process, two threads."""

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from server import tls
from tests.integration.masters import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MANY = 50


class Serving:
    """A gunicorn of the test's own."""

    def __init__(self, folder: Path, *, secure: bool) -> None:
        self.port, self.secure = free_port(), secure
        self.certificate, key = tls.self_signed(folder, ["127.0.0.1"])
        trust = ("--certfile", str(self.certificate), "--keyfile", str(key)) if secure else ()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "tests.integration.echo_app:app", "--no-control-socket"),
                *("--bind", f"127.0.0.1:{self.port}", "--worker-class", "server.slow.Worker", "--threads", "2"),
                *("--worker-connections", "100", "--keep-alive", "75", "--graceful-timeout", "5", *trust),
            ],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return self.ask() == "0"
        return False

    def ask(self, body: bytes = b"", path: str = "/") -> str:
        scheme = "https" if self.secure else "http"
        trust = str(self.certificate) if self.secure else True
        return requests.post(f"{scheme}://127.0.0.1:{self.port}{path}", data=body, verify=trust, timeout=5).text

    def dial(self, *, shake: bool = True) -> socket.socket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        if not self.secure or not shake:
            return raw
        return ssl.create_default_context(cafile=str(self.certificate)).wrap_socket(raw, server_hostname="127.0.0.1")


@pytest.fixture(scope="module", params=["plain", "tls"])
def serving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    found = Serving(tmp_path_factory.mktemp("slow"), secure=request.param == "tls")
    yield found
    found.process.terminate()
    assert found.process.wait(20) == 0


def head(length: int, extra: str = "") -> bytes:
    return f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{extra}\r\n".encode()


BEGINNINGS = {
    "nothing": b"",
    "a part of the head": b"POST / HTTP/1.1\r\nHost: x\r\nX-A",
    "a part of a small body": head(1000) + b"x",
    "a second head behind a whole request": head(1) + b"x" + b"POST / HTTP/1.1\r\nHo",
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_many_that_dribble_hold_nobody_up(serving: Serving, beginning: bytes) -> None:
    with contextlib.ExitStack() as dribblers:
        sockets = [dribblers.enter_context(serving.dial()) for _ in range(MANY)]
        for each in sockets:
            each.sendall(beginning)
        for size in (0, 10, 100_000):
            assert serving.ask(b"x" * size) == str(size)
        for each in sockets[:5]:
            each.sendall(b"y")
        assert serving.ask(b"again") == "5"


def test_many_that_never_finish_their_handshake_hold_nobody_up(serving: Serving) -> None:
    with contextlib.ExitStack() as dribblers:
        for _ in range(MANY):
            dribblers.enter_context(serving.dial(shake=False)).sendall(b"\x16\x03\x01")
        assert serving.ask(b"x") == "1"


def test_more_connections_than_there_may_be_push_out_those_that_waited_longest(serving: Serving) -> None:
    with contextlib.ExitStack() as dribblers:
        first = dribblers.enter_context(serving.dial(shake=False))
        for _ in range(150):
            dribblers.enter_context(serving.dial(shake=False)).sendall(b"POST")
        first.settimeout(20)
        assert first.recv(1) == b""
        assert serving.ask(b"x") == "1"


def test_what_arrives_in_pieces_is_served_whole(serving: Serving) -> None:
    with serving.dial() as slow:
        for byte in head(3) + b"abc" + head(2) + b"de":
            slow.sendall(bytes([byte]))
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 2 or not answers.endswith(b"2"):
            answers += slow.recv(4096)
        assert answers.count(b"\r\n\r\n3") == 1


def test_requests_in_one_piece_are_served_one_after_the_other(serving: Serving) -> None:
    with serving.dial() as fast:
        fast.sendall((head(3) + b"abc") * 20)
        answers = b""
        while answers.count(b"\r\n\r\n3") < 20:
            answers += fast.recv(4096)


def test_a_connection_that_is_closed_after_its_answer_stops_nobody(serving: Serving) -> None:
    """Its other end does not close: gunicorn itself would wait for it 2 s, with all others."""
    with contextlib.ExitStack() as others:
        for _ in range(20):
            each = others.enter_context(serving.dial())
            each.sendall(head(0, "Connection: close\r\n"))
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
        assert serving.ask(b"x") == "1"


def test_a_head_without_end_is_cut_off(serving: Serving) -> None:
    with serving.dial() as endless:
        with contextlib.suppress(OSError):
            for _ in range(100):
                endless.sendall(b"X-A: " + b"a" * 8000 + b"\r\n")
        with contextlib.suppress(ConnectionError):
            assert endless.recv(4096) == b""
    assert serving.ask(b"x") == "1"
