"""Callers that send a byte at a time hold no thread: our worker class with two of them, alone and under a master."""

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import requests

from dockercomp.protocol.errors import Unauthorized
from dockercomp.protocol.messages import PART_LIMIT, SyncAnswer
from dockercomp.protocol.transport import Connection
from server import tls
from tests.integration.masters import RunningMaster, free_port, running_master
from tests.integration.test_api import enrolled, sync_of
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


# --- a whole master ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    """Two threads in all, and one place for transfers."""
    with running_master(tmp_path_factory.mktemp("m"), DC_WORKERS="1", DC_THREADS="2") as running:
        yield running


def request_of(method: str, path: str, length: int, *more: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *more, "", "")).encode()


WITHOUT_CREDENTIALS = {
    "a large sync with a wrong secret": request_of("POST", "/api/v1/sync", 10**7, "Authorization: Bearer c1.wrong"),
    "a small sync": request_of("POST", "/api/v1/sync", 10**4, "Authorization: Bearer c1.wrong"),
    "an enrolment": request_of("POST", "/api/v1/enrol", 60_000),
    "too large an enrolment": request_of("POST", "/api/v1/enrol", 10**6),
    "a login": request_of("POST", "/login", 10**6, "Content-Type: application/x-www-form-urlencoded"),
    "a look with a body": request_of("GET", "/healthz", 10**6),
    "a page that is not there": request_of("POST", "/nothing", 10**6),
    "a body without a length": b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
}


@pytest.mark.parametrize("beginning", WITHOUT_CREDENTIALS.values(), ids=WITHOUT_CREDENTIALS.keys())
def test_a_sync_answers_while_strangers_dribble(master: RunningMaster, beginning: bytes) -> None:
    _, token = enrolled(master)
    connection = Connection(master.url, token, retries=0, timeout=4)
    connection.call("sync", SyncAnswer, sync_of(1))
    with contextlib.ExitStack() as dribblers:
        for _ in range(MANY):
            each = dribblers.enter_context(socket.create_connection(("127.0.0.1", master.settings.port), timeout=30))
            each.sendall(beginning + b"x")
        for seq in range(2, 12):
            connection.call("sync", SyncAnswer, sync_of(seq))


def test_a_secret_is_checked_before_a_large_body_is_awaited(master: RunningMaster) -> None:
    with socket.create_connection(("127.0.0.1", master.settings.port), timeout=10) as raw:
        raw.sendall(WITHOUT_CREDENTIALS["a large sync with a wrong secret"])
        assert raw.recv(100).startswith(b"HTTP/1.1 401")


def test_a_large_sync_of_a_client_is_read(master: RunningMaster) -> None:
    _, token = enrolled(master)
    body = msgspec.json.encode(sync_of(1)) + b" " * 1_000_000
    headers = {"Content-Type": "application/json"}
    Connection(master.url, token, retries=0).call("sync", SyncAnswer, body=body, headers=headers)


def test_a_body_without_a_length_is_refused(master: RunningMaster) -> None:
    headers = {"Authorization": f"Bearer {master.admin_token}"}
    answer = requests.post(f"{master.url}/api/v1/jobs", data=iter([b"{}"]), headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (411, "length_required")


def test_who_is_refused_in_the_middle_of_an_upload_reads_why(master: RunningMaster) -> None:
    with pytest.raises(Unauthorized):
        Connection(master.url, "wrong", retries=0).request("blob_put", digest="0" * 64, body=b"x" * PART_LIMIT)
