"""`dockercomp allocate`, `tag` and `group` on a whole master, with a worker that follows what it is given."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dockercomp import cli
from dockercomp.protocol.errors import PreconditionFailed, Unavailable
from dockercomp.protocol.messages import (
    PROTOCOL,
    Allocation,
    AppliedAllocation,
    ContainerReport,
    EnrolAnswer,
    EnrolRequest,
    PartReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import AllocationChange, AllocationHistory, ClientPage, GroupChange, GroupRule, GroupView
from tests.integration.masters import RunningMaster, running_master
from tests.integration.simulated import CEILING, MACHINE

Run = Callable[..., tuple[int, str, str]]
MIB = 2**20


@dataclass
class Following:
    """A worker that puts in force what it is given, and says so, in a thread of its own."""

    url: str
    client: str
    secret: str
    refusal: str = ""
    """Docker's words for whatever it is given from now on."""
    ended: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        line, session, given = Connection(self.url, f"{self.client}.{self.secret}"), secrets.token_hex(4), None
        seq = 0
        while not self.ended.is_set():
            seq += 1
            applied = self._applied(given) if given else None
            request = SyncRequest(
                protocol=PROTOCOL,
                session=session,
                seq=seq,
                applied=applied,
                containers=[ContainerReport(name="dc-1", id="1", job="j1", state="idle", image="i")],
                machine=MACHINE,
                ceiling=CEILING,
            )
            try:
                answer = line.call("sync", SyncAnswer, request)
            except Unavailable:
                return
            given = answer.allocation
            self.ended.wait(answer.call_again_s)

    def _applied(self, given: Allocation) -> AppliedAllocation:
        refused = self.refusal and given.cpus == 0.75
        part = PartReport(
            part="cpus",
            state="failed" if refused else "verified",
            actual=f"{given.cpus:g} CPUs each",
            why=self.refusal if refused else "",
        )
        return AppliedAllocation(
            version=given.version,
            containers=given.containers,
            cpus=given.cpus,
            memory=given.memory,
            verified=not refused,
            parts=[part],
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("m")) as found:
        yield found


@pytest.fixture(scope="module")
def worker(running: RunningMaster) -> Iterator[Following]:
    request = EnrolRequest(token=running.enrolment_token(), machine=MACHINE, ceiling=CEILING, request="one")
    answer = Connection(running.url, "").call("enrol", EnrolAnswer, request)
    found = Following(running.url, answer.client, answer.secret)
    thread = threading.Thread(target=found.follow)
    thread.start()
    yield found
    found.ended.set()
    thread.join()


@pytest.fixture
def run(
    running: RunningMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)
    token = json.loads((running.home / "credentials.json").read_text())["token"]

    def call(*argv: str) -> tuple[int, str, str]:
        code = cli.run([*argv, "--url", running.url, "--token", token])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_a_change_is_followed_until_it_was_read_back(run: Run, worker: Following) -> None:
    code, out, err = run("allocate", worker.client, "--cpus", "0.5", "--containers", "2", "--wait")
    assert code == 0, err
    assert "verified: read back there" in out and "2 containers" in out and "0.5 CPUs each" in out
    view = json.loads(run("allocate", "pc", "--json")[1])
    assert (view["allocation"]["cpus"], view["allocation"]["memory"]) == (0.5, 1 << 30), "what is not named stays"
    code, out, _ = run("allocate", "pc", "--jobs", "word*", "--jobs", "x", "--memory", "64MiB", "--wait")
    assert code == 0 and "word*, x" in out and "64 MiB each" in out
    assert "all jobs" in run("allocate", "pc", "--jobs", "*")[1]
    history = run("allocate", "pc", "--history")[1].splitlines()
    assert len(history) == 5 and "admin" in history[1] and "the first contact" in history[-1]
    assert "verified" in history[2]


def test_dockers_own_words_are_said_where_it_refused(run: Run, worker: Following) -> None:
    worker.refusal = "Docker: Range of CPUs is from 0.01 to 0.50"
    code, _, err = run("allocate", worker.client, "--cpus", "0.75", "--wait")
    assert code == 1 and "refused there: cpus: Docker: Range of CPUs is from 0.01 to 0.50" in err
    worker.refusal = ""
    assert run("allocate", worker.client, "--cpus", "0.5", "--wait")[0] == 0


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--cpus", "nan"), "must be a number of CPUs from 0.05"),
        (("--cpus", "-1"), "must be a number of CPUs from 0.05"),
        (("--cpus", "0"), "from 0.05 to 4"),
        (("--cpus", "64"), "the volunteer's ceiling is 4 in all; at most"),
        (("--containers", "-3"), "must be a whole number, 0 or more"),
        (("--containers", "5"), "between 0 and 4, the volunteer's ceiling"),
        (("--memory", "1 parsec"), "not a size"),
        (("--memory", "64GiB"), "the volunteer's ceiling is 4096 MiB in all"),
        (("--memory", "0"), "from 16 MiB to 4096 MiB"),
        (("--priority", "urgent"), "low"),
        (("--follow", "--cpus", "1"), "not both"),
        (("--history", "--cpus", "1"), "only shows"),
    ],
)
def test_a_wrong_value_names_its_range_and_changes_nothing(
    run: Run, worker: Following, option: tuple[str, ...], says: str
) -> None:
    before = json.loads(run("allocate", worker.client, "--json")[1])["allocation"]
    code, _, err = run("allocate", worker.client, *option)
    assert code == 2 and says in err
    assert json.loads(run("allocate", worker.client, "--json")[1])["allocation"] == before


def test_a_group_is_made_followed_changed_and_removed(run: Run, worker: Following) -> None:
    assert run("allocate", "nobody")[0] == 2
    code, out, _ = run("group", "set", "night", "--tag", "night", "--share", "0.5", "--order", "5")
    assert code == 0 and "0 members" in out
    assert "group night" in run("tag", "pc", "night")[1]
    assert run("tag", "pc")[1].split(": ", 1)[1] == "night; group night\n"
    code, out, err = run("allocate", "pc", "--follow", "--wait")
    assert code == 0 and "follows group night" in out and "4 containers" in out, err
    run("group", "set", "night", "--cpus", "0.25", "--least-cpus", "2")
    code, out, _ = run("allocate", "pc", "--wait")
    assert code == 0 and "0.25 CPUs each" in out and "by group night" in out
    assert "0.25 CPUs each" in run("group", "show", "night")[1] and "pc" in run("group", "show", "night")[1]
    assert "tags night, least cpus 2" in run("group", "ls")[1]
    assert "everybody" in run("group", "set", "night", "--tag", "", "--least-cpus", "0")[1] + run("group", "ls")[1]
    code, _, err = run("tag", "pc", "--none", "day")
    assert code == 2 and "not both" in err and "night" in run("tag", "pc")[1]
    code, _, err = run("group", "set", "night", "--memory", "1 KiB")
    assert code == 2 and "at least 16 MiB" in err
    assert run("group", "rm", "night")[0] == 0 and run("group", "rm", "night")[0] == 2
    assert "no group" in run("tag", "pc", "--none")[1]


def test_who_looked_at_an_older_version_is_told(running: RunningMaster, worker: Following) -> None:
    admin, change = running.admin(), AllocationChange(containers=1, cpus=0.3, memory=64 * MIB)
    answer = admin.request("client", client=worker.client)
    tag = answer.headers["ETag"]
    told: dict[str, str] = {"If-Match": tag}
    made = admin.call("client_allocate", Allocation, change, client=worker.client, headers=told)
    assert tag == f'"{made.version - 1}"'
    with pytest.raises(PreconditionFailed):
        admin.call("client_allocate", Allocation, change, client=worker.client, headers=told)
    page = admin.call("client_history", AllocationHistory, client=worker.client, params={"limit": "1"})
    assert page.records[0].allocation == made and page.next == str(made.version)
    older = admin.call("client_history", AllocationHistory, client=worker.client, params={"cursor": page.next or ""})
    assert older.records[0].allocation.version == made.version - 1

    group = GroupChange(rule=GroupRule(tags=["x"]))
    none: dict[str, str] = {"If-Match": '"0"'}
    assert admin.call("group_set", GroupView, group, group="x", headers=none).version == 1
    with pytest.raises(PreconditionFailed):
        admin.call("group_set", GroupView, group, group="x", headers=none)
    assert admin.request("group", group="x").headers["ETag"] == '"1"'
    assert admin.call("group_members", ClientPage, group="x").clients == []
    with pytest.raises(PreconditionFailed):
        admin.call("group_remove", GroupView, group="x", headers={"If-Match": '"7"'})
    assert admin.call("group_remove", GroupView, group="x").name == "x"
