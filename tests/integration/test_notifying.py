"""Scientists are told how their jobs go: by a real web server and a real mail server of the tests' own."""

import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_string
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.views import SubmitRequest
from server.beside import Beside
from server.housekeeping import Housekeeping
from server.notifying import Notifying
from server.reopening import Reopening
from server.settings import Settings
from server.store import Store
from tests.integration.simulated import Master
from tests.integration.test_endings import document_of, turn


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


@dataclass
class Hook:
    """A web server that notes what is posted to it, and answers with `status`."""

    url: str = ""
    status: int = 204
    posts: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    noted = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            noted.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            noted.keys.append(self.headers["Idempotency-Key"])
            self.send_response(noted.status)
            self.send_header("Location", noted.url)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    noted.url = f"http://127.0.0.1:{server.server_port}/told"
    with serving(server):
        yield noted


@pytest.fixture
def mails() -> Iterator[tuple[str, list[str]]]:
    """The address of a mail server, and the mails that it took."""
    taken: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 hello\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    taken.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"smtp://127.0.0.1:{server.server_address[1]}", taken


@pytest.fixture
def open_settings(settings: Settings) -> Settings:
    """Of a master whose hooks may be on its own network."""
    return replace(settings, private_urls=True)


def submit(master: Master, *notify: str, chunks: int = 1) -> str:
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=chunks, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="none"),
        retries=1,
        notify=list(notify),
        reuse=False,
    )
    return str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])


def tell(master: Master, settings: Settings, later_s: float = 0.0) -> int:
    return Notifying(master.store, settings).round(master.store.duties.now() + later_s)


def test_a_completed_job_is_told_once(master: Master, open_settings: Settings, hook: Hook) -> None:
    job = submit(master, hook.url)
    volunteer = master.volunteer()
    assert tell(master, open_settings) == 0
    turn(volunteer, set())
    assert tell(master, open_settings) == 1
    assert tell(master, open_settings, later_s=100_000) == 0
    (post,) = hook.posts
    assert (post["event"], post["job"]["id"], post["job"]["state"]) == ("completed", job, "completed")
    assert post["sentence"] == (
        f"Job numbers ({job}) is completed; fetch its result: dockercomp results {job} --output DIR"
    )
    assert post["link"] == f"{open_settings.url}/jobs/{job}"


def test_who_does_not_answer_is_told_later_and_the_others_at_once(
    master: Master, open_settings: Settings, hook: Hook
) -> None:
    job = submit(master, "http://127.0.0.1:9/nobody", hook.url)
    turn(master.volunteer(), set())
    hook.status = 500
    assert tell(master, open_settings) == 0
    hook.status = 200
    assert tell(master, open_settings, later_s=10) == 0, "not yet"
    assert tell(master, open_settings, later_s=40) == 1
    assert tell(master, open_settings, later_s=1000) == 0
    assert [post["id"] for post in hook.posts] == [f"{job}/0/completed"] * 2, "the same notice, known by its id"
    assert hook.keys == [f"{job}/0/completed"] * 2
    notice = document_of(master, job)["notice"]
    assert notice["left"] == ["http://127.0.0.1:9/nobody"] and "nobody" in notice["problem"]


def test_a_redirect_is_no_way_in(master: Master, open_settings: Settings, hook: Hook) -> None:
    submit(master, hook.url)
    turn(master.volunteer(), set())
    hook.status = 302
    assert tell(master, open_settings) == 0
    assert len(hook.posts) == 1


def test_the_masters_own_network_is_not_posted_to(master: Master, settings: Settings, hook: Hook) -> None:
    job = submit(master, hook.url)
    turn(master.volunteer(), set())
    assert tell(master, settings) == 0
    assert hook.posts == []
    assert "own network" in document_of(master, job)["notice"]["problem"]


def test_a_failure_is_told_and_after_a_retry_the_end_again(master: Master, open_settings: Settings, hook: Hook) -> None:
    job = submit(master, hook.url, chunks=2)
    volunteer = master.volunteer()
    turn(volunteer, {1})
    tell(master, open_settings)
    Reopening(master.store).retry(document_of(master, job))
    tell(master, open_settings)
    turn(volunteer, {1})
    tell(master, open_settings)
    assert [post["event"] for post in hook.posts] == ["failed", "failed"]
    assert "1 of 2 chunks failed: number 1." in hook.posts[0]["sentence"]
    assert hook.posts[0]["id"] != hook.posts[1]["id"]


def test_a_job_that_waits_is_told_of_once_each_time(master: Master, open_settings: Settings, hook: Hook) -> None:
    submit(master, hook.url)
    for later_s in (0, 300, 601, 2000):
        tell(master, open_settings, later_s)
    (post,) = hook.posts
    assert post["event"] == "waits" and "has waited for 10 minutes: no client is connected" in post["sentence"]
    master.volunteer().work(0)
    tell(master, open_settings)  # a client is there
    for later_s in (100, 800):
        tell(master, open_settings, later_s)
    assert [each["event"] for each in hook.posts] == ["waits", "waits"]


def test_a_mail_is_sent(master: Master, settings: Settings, mails: tuple[str, list[str]]) -> None:
    server, taken = mails
    job = submit(master, "mailto:ada@example.org")
    turn(master.volunteer(), set())
    assert tell(master, replace(settings, smtp=server, mail_from="master@example.org")) == 1
    (mail,) = taken
    assert "To: ada@example.org" in mail and "From: master@example.org" in mail
    assert "Subject: dockerComp: job numbers completed" in mail
    assert f"dockercomp results {job}" in message_from_string(mail, policy=default).get_content()


def test_without_a_mail_server_the_reason_is_kept(master: Master, settings: Settings) -> None:
    job = submit(master, "mailto:ada@example.org")
    turn(master.volunteer(), set())
    assert tell(master, settings) == 0
    assert "no DC_SMTP" in document_of(master, job)["notice"]["problem"]


def test_a_duty_beside_the_others_runs_once_at_a_time_and_its_failure_harms_nobody() -> None:
    from threading import Event

    go, runs = Event(), []

    def slow() -> None:
        runs.append(1)
        go.wait(10)
        raise RuntimeError("boom")

    beside = Beside("slow")
    for _ in range(3):
        beside.start(slow)
    assert not beside.wait(0.01)
    go.set()
    assert beside.wait(10)
    assert len(runs) == 1
    beside.start(slow)
    assert beside.wait(10) and len(runs) == 2


def test_that_a_result_is_withdrawn_is_told_and_then_that_the_job_is_completed_again(
    master: Master, open_settings: Settings, hook: Hook
) -> None:
    job = submit(master, hook.url)
    turn(master.volunteer(), set())
    tell(master, open_settings)
    master.store.editions.withdraw(job, "client c1 was found wrong")
    tell(master, open_settings)
    tell(master, open_settings)
    master.store.editions.reviewed(job)
    Housekeeping(master.store, open_settings).round(master.store.duties.now())
    tell(master, open_settings)
    assert [post["event"] for post in hook.posts] == ["completed", "withdrawn", "completed"]
    assert "is withdrawn: client c1 was found wrong. Do not use it" in hook.posts[1]["sentence"]
    assert "edition 2, replaces the one that was withdrawn" in hook.posts[2]["sentence"]
    assert len({post["id"] for post in hook.posts}) == 3


def test_who_read_a_result_that_is_not_good_any_more_is_told_after_the_end_too(
    master: Master, open_settings: Settings, hook: Hook
) -> None:
    job = submit(master, hook.url)
    turn(master.volunteer(), set())
    tell(master, open_settings)
    for _ in range(2):
        master.store.editions.warn(job, "its input was partly wrong")
        tell(master, open_settings)
        tell(master, open_settings)
    assert [post["event"] for post in hook.posts] == ["completed", "doubtful", "doubtful"]
    assert hook.posts[1]["sentence"] == f"Job numbers ({job}): its input was partly wrong"
