"""Retry, explain and rm as people call them: over HTTP and by the command line, on a whole master."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockercomp import cli
from dockercomp.client import Client
from dockercomp.protocol.errors import Conflict, NotFound
from dockercomp.protocol.people import ApiTokenRequest, Role
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import Explanation, JobView
from server.people import People
from server.rights import Rights
from server.tokens import Tokens
from tests.integration.masters import RunningMaster, running_master
from tests.integration.simulated import Master, Volunteer
from tests.integration.test_endings import turn

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("m")) as found:
        yield found


@pytest.fixture
def master(running: RunningMaster) -> Iterator[Master]:
    with running.store() as store:
        yield Master(store)


@pytest.fixture
def run(
    running: RunningMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*argv: str) -> tuple[int, str, str]:
        code = cli.run([*argv, "--url", running.url, "--token", running.admin_token])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def failed_job(master: Master) -> tuple[str, Volunteer]:
    volunteer = master.volunteer()
    job = master.submit(3, quorum=1, retries=1)
    turn(volunteer, {1})
    return job, volunteer


def test_a_failed_job_is_explained_run_again_and_removed(master: Master, run: Run) -> None:
    job, volunteer = failed_job(master)
    code, out, _ = run("explain", job)
    assert code == 0 and out.startswith(f"{job}: it failed: 1 of 3 chunks failed: number 1.")
    code, out, _ = run("explain", f"{job}.0.1", "--json")
    assert "exit code 3: boom" in json.loads(out)["sentence"]
    code, _, err = run("rm", "j000", job)
    assert code == 2 and "there is no job j000" in err

    code, out, _ = run("retry", job)
    assert (code, out) == (0, f"job {job} runs again; follow it with: dockercomp watch {job}\n")
    code, _, err = run("rm", job)
    assert code == 2 and f"still runs; cancel it first: dockercomp cancel {job}" in err
    turn(volunteer, set())
    code, out, _ = run("explain", job)
    assert f"fetch its result: dockercomp results {job}" in out
    code, _, err = run("retry", job)
    assert code == 2 and "nothing to run again" in err

    code, _, err = run("rm", job)
    assert (code, err) == (0, f"job {job} is removed\n")
    code, _, err = run("status", job)
    assert code == 2 and f"there is no job {job}" in err
    assert job not in run("ls")[1]


def test_a_client_is_explained_by_its_name(master: Master, run: Run) -> None:
    volunteer = master.volunteer()
    master.store.database["clients"].update_one({"_id": volunteer.id}, {"$set": {"name": "Ada's PC ä #1"}})
    code, out, _ = run("explain", "Ada's PC ä #1")
    assert code == 0 and out.startswith(f"{volunteer.id}: ")


def test_only_the_owner_may_run_again_or_remove(running: RunningMaster, master: Master) -> None:
    job, _ = failed_job(master)
    stranger = Connection(running.url, token_of(master, "eve", "scientist"), retries=0)
    for route in ("job_retry", "job_remove"):
        with pytest.raises(NotFound, match="of yours"):
            stranger.call(route, JobView, job=job)
    with pytest.raises(NotFound, match="of yours"):
        stranger.call("explain", Explanation, subject=job)
    viewer = Connection(running.url, token_of(master, "vi", "viewer"), retries=0)
    assert viewer.call("explain", Explanation, subject=job).subject == job
    with pytest.raises(Exception, match="may look"):
        viewer.call("job_retry", JobView, job=job)


def token_of(master: Master, person: str, role: Role) -> str:
    People(master.store).add(person, role)
    return Tokens(master.store).make(Rights(person, role), ApiTokenRequest(scope="admin")).token


def test_from_python(running: RunningMaster, master: Master) -> None:
    job, volunteer = failed_job(master)
    with Client(running.url, running.admin_token) as client:
        found = client.job(job)
        assert found.view.missing == ["number 1"] and found.view.missing_count == 1
        assert "dockercomp retry" in found.explain().sentence
        assert found.retry().state == "running"
        assert found.retry().state == "running", "safe to repeat"
        with pytest.raises(Conflict):
            found.remove()
        turn(volunteer, set())
        assert found.remove().state == "completed"
        with pytest.raises(NotFound):
            found.remove()
