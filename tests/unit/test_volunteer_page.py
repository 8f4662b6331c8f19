"""The volunteer's page over real HTTP: what it shows and saves, and whom it refuses."""

import errno
import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from dockercomp.machine import configuration
from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, ContainerReport, PartReport
from worker import status
from worker.page import owner
from worker.page.fields import Machine, changes, lent, shown, when
from worker.page.owner import Owner
from worker.page.serving import Server
from worker.volunteer import read_control

EVIL = "<script>alert(1)</script>\"'"


@dataclass
class Reader:
    """Somebody who asks the page; by default its owner's browser."""

    server: Server
    home: Path

    def ask(self, method: str, place: str = "", body: str | None = None, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self.server.server_address[:2], timeout=30)  # type: ignore[misc]
        sent = {"Host": self.server.hosts[0]} | (
            {"Origin": f"http://{self.server.hosts[0]}"} if body is not None else {}
        )
        path = place if place.startswith("/") else f"/{self.server.token}/{place}"
        connection.request(method, path, body, {key: value for key, value in (sent | headers).items() if value})
        answer = connection.getresponse()
        self.headers = answer.headers
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def send(self, place: str, **form: str) -> tuple[int, str]:
        return self.ask("POST", place, urlencode(form))

    @property
    def configuration(self) -> dict[str, str]:
        return configuration.read(self.home / "configuration", {})


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "worker").mkdir()
    (tmp_path / "configuration").write_text("# mine\nDC_MEMORY=2GiB\nDC_TOKEN=very-secret\n")
    server = Server(Owner(tmp_path, {"DC_HOME": str(tmp_path)}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield Reader(server, tmp_path)
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_shows_what_the_worker_says_and_no_secret(reader: Reader) -> None:
    report = ContainerReport(
        name=f"dc-{EVIL}", id="i", state="running", job="j1", image="x", cpus_planned=0.5, memory_planned=2**27,
        chunk="map 3", cpus_limit=0.5, memory_limit=2**27, cpus_used=0.25, memory_used=2**26, read_from="cgroup v2",
    )  # fmt: skip
    part = PartReport(part="cpus", state="verified", actual="0.5 CPUs each", why="The ceiling allows 0.5 of 1.")
    found = status.Status(
        state="stopped",
        sentence=f"Paused: {EVIL}",
        client="c1",
        owner="lab",
        ceiling=Ceiling(containers=2, cpus=1.0, memory=2**30),
        allocation=Allocation(version=1, containers=2, cpus=1.0, memory=2**28),
        applied=AppliedAllocation(version=1, containers=2, cpus=0.5, memory=2**28, verified=True, parts=[part]),
        containers=[report],
        problems=["line 3: not understood"],
        rules=["Never on battery."],
    )
    status.write(reader.home, found)
    code, text = reader.ask("GET")
    assert code == 200 and reader.ask("GET", "live")[0] == 200
    for words in (
        "map 3",
        "cgroup v2",
        "0.25",
        "128 MiB",
        "1 each",
        "0.5 each, 1 in all",
        "read back",
        "Never on battery",
    ):
        assert words in text, words
    assert "line 3: not understood" in text and 'value="2"' in text
    assert "<script>alert" not in text and "very-secret" not in text


def test_before_the_first_run_it_says_so(reader: Reader) -> None:
    assert "It has not run here yet" in reader.ask("GET")[1]


def test_saving_changes_only_what_was_changed(reader: Reader) -> None:
    form = {"DC_CONTAINERS": "", "DC_CPUS": "0,5", "DC_MEMORY": "2", "DC_HOURS": "sat-sun", "DC_ON_BATTERY": "no"}
    code, _ = reader.send("configure", **form, DC_WHEN_IDLE="no", DC_TOKEN="stolen", DC_HOOK="/bin/sh", other="x")
    assert code == 303 and reader.headers["Location"] == "./"
    assert "Saved: DC_CPUS, DC_HOURS, DC_ON_BATTERY." in reader.ask("GET")[1]
    text = (reader.home / "configuration").read_text()
    assert text.startswith("# mine\nDC_MEMORY=2GiB\nDC_TOKEN=very-secret\n")
    assert reader.configuration == {
        "DC_MEMORY": "2GiB", "DC_TOKEN": "very-secret", "DC_CPUS": "0.5", "DC_HOURS": "sat-sun", "DC_ON_BATTERY": "no",
    }  # fmt: skip
    reader.send("configure", DC_CPUS="", DC_ON_BATTERY="yes")
    assert reader.configuration.keys() == {"DC_MEMORY", "DC_TOKEN", "DC_HOURS"}


def test_what_cannot_be_is_refused_with_the_reason_and_what_was_typed(reader: Reader) -> None:
    before = (reader.home / "configuration").read_text()
    code, text = reader.send("configure", DC_CPUS="0.1", DC_CONTAINERS="100")
    assert code == 422 and "DC_CPUS is 0.1, and a container needs 0.05" in text and 'value="100"' in text
    assert reader.send("configure", DC_HOURS="it's\nDC_TOKEN=x")[0] == 422
    assert (reader.home / "configuration").read_text() == before


def test_a_malformed_configuration_is_said_and_not_touched(reader: Reader) -> None:
    (reader.home / "configuration").write_text("DC_CPUS=1\n???\n")
    assert "line 2: not understood" in reader.ask("GET")[1]
    code, text = reader.send("configure", DC_CPUS="2")
    assert code == 422 and "line 2: not understood" in text
    assert (reader.home / "configuration").read_text() == "DC_CPUS=1\n???\n"


def test_pausing_and_going_on(reader: Reader) -> None:
    assert reader.send("pause", **{"for": "2h"})[0] == 303
    assert read_control(reader.home).paused and "Resume" in reader.ask("GET")[1]
    assert reader.send("resume")[0] == 303 and not read_control(reader.home).paused
    assert reader.send("pause", **{"for": "yesterday"})[0] == 422
    assert reader.send("pause", **{"for": "nan"})[0] == 422 and not read_control(reader.home).paused


def test_a_pause_that_cannot_be_kept_is_said(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(owner, "write_control", full)
    code, text = reader.send("pause", **{"for": "2h"})
    assert code == 422 and "No space left" in text


@pytest.mark.parametrize(
    ("method", "place", "headers", "code"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/wrong/", {}, 404),
        ("GET", "/wrong/page.css", {}, 404),
        ("GET", "../../configuration", {}, 404),
        ("GET", "nothing", {}, 404),
        ("GET", "", {"Host": "evil.example"}, 421),
        ("GET", "", {"Host": "127.0.0.1"}, 421),
        ("GET", "", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "pause", {"Origin": ""}, 403),
        ("POST", "pause", {"Origin": "null"}, 403),
        ("POST", "pause", {"Origin": "http://evil.example"}, 403),
        ("POST", "/wrong/pause", {}, 404),
        ("POST", "nothing", {}, 404),
        ("POST", "pause", {"Content-Length": "99999999"}, 413),
        ("POST", "pause", {"Content-Length": "-1"}, 413),
        ("POST", "pause", {"Content-Length": "\xb2"}, 413),
        ("PUT", "pause", {}, 501),
    ],
)
def test_others_are_refused(reader: Reader, method: str, place: str, headers: dict[str, str], code: int) -> None:
    found, text = reader.ask(method, place, "for=" if method != "GET" else None, **headers)
    assert found == code and "Containers" not in text
    assert not read_control(reader.home).paused
    assert "Access-Control-Allow-Origin" not in reader.headers


def test_every_answer_forbids_what_a_page_does_not_need(reader: Reader) -> None:
    for place in ("", "live", "page.css", "page.js", "nothing"):
        reader.ask("GET", place)
        policy = reader.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert reader.headers["Cache-Control"] == "no-store" and reader.headers["X-Content-Type-Options"] == "nosniff"


def test_it_listens_on_loopback_alone(reader: Reader) -> None:
    assert reader.server.server_address[0] == "127.0.0.1" and len(reader.server.token) >= 32


def test_a_value_that_is_not_the_forms_own_is_kept_as_it_is() -> None:
    machine = Machine(cores=2, memory=2**32, disk=2**40)
    fields = (*lent(machine), *when(machine))
    values = {"DC_MEMORY": "1536MiB", "DC_DISK": "odd", "DC_WHEN_IDLE": "7", "DC_NETWORK_PER_DAY": "5GB"}
    form = {field.key: shown(field, values) for field in fields}
    assert form["DC_MEMORY"] == "1.5" and form["DC_DISK"] == "odd" and form["DC_WHEN_IDLE"] == "7"
    assert changes(form, fields, values) == {}


def test_the_command_prints_a_link_that_works_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "configuration").touch()  # else the clone's own is what the page would edit
    env = {**os.environ, "DC_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "worker.cli", "page"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        link = urlsplit(running.stdout.readline().strip())
        assert link.hostname == "127.0.0.1" and link.port
        connection = http.client.HTTPConnection(link.hostname, link.port, timeout=60)
        connection.request("GET", link.path)
        assert b"dockerComp on this machine" in connection.getresponse().read()
        connection.close()
        taken = subprocess.run(
            [*command, "--port", str(link.port)], env=env, capture_output=True, text=True, check=False
        )
        assert taken.returncode == 1 and "give another with --port" in taken.stderr
        running.terminate()
        assert running.wait(60) == 0
