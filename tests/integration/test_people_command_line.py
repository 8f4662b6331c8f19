"""People, tokens and the audit log by the command line, and recovery on the server, on a whole master."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockercomp import cli
from server import instance
from server.people import People
from tests.integration.masters import RunningMaster, running_master

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("m")) as found:
        yield found


def token_in_home(running: RunningMaster) -> str:
    return str(json.loads((running.home / "credentials.json").read_text())["token"])


@pytest.fixture
def run(
    running: RunningMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*argv: str, token: str = "") -> tuple[int, str, str]:
        code = cli.run([*argv, "--url", running.url, "--token", token or token_in_home(running)])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_a_person_from_the_invitation_to_the_removal(run: Run) -> None:
    code, link, err = run("people", "add", "nia", "--role", "viewer")
    assert code == 0 and "/password/dcp-" in link and "send it to nobody else" in err
    code, _, err = run("people", "add", "nia")
    assert code == 2 and "somebody of the name nia already" in err
    assert ["nia", "viewer"] in [line.split()[:2] for line in run("people", "ls")[1].splitlines()]
    assert run("people", "role", "nia", "scientist")[2] == "nia is now scientist\n"
    assert "/password/dcp-" in run("people", "link", "nia")[1]
    assert run("people", "logout", "nia")[2] == "nia is logged out everywhere\n"
    assert run("people", "rm", "nia")[2] == "nia is removed; jobs stay\n"
    assert run("people", "rm", "nia")[0] == 2
    code, _, err = run("people", "rm", "admin")
    assert code == 2 and "last admin" in err


def test_tokens_are_made_used_and_revoked(run: Run) -> None:
    made = json.loads(run("tokens", "create", "--label", "laptop", "--scope", "read", "--json")[1])
    token, name = made["token"], made["view"]["id"]
    assert run("whoami", token=token)[1].startswith("admin (admin), scope read, until ")
    code, _, err = run("people", "ls", token=token)
    assert code == 4 and "this token's scope is read" in err
    listed = run("tokens", "ls", "--all")[1]
    assert name in listed and "laptop" in listed and token not in listed
    assert run("tokens", "revoke", name)[0] == 0
    code, _, err = run("whoami", token=token)
    assert code == 4 and "revoked" in err


def test_enrolment_tokens_are_made_listed_and_revoked(run: Run) -> None:
    command = run("enrolment", "create", "--owner", "lab", "--trusted")[1]
    assert command.startswith("curl ")
    (listed,) = json.loads(run("enrolment", "ls", "--json")[1])
    assert (listed["owner"], listed["trusted"], listed["made_by"]) == ("lab", True, "admin")
    assert (
        run("enrolment", "revoke", listed["id"], "--retire")[2]
        == f"{listed['id']} is revoked, 0 machines are retired\n"
    )
    code, _, err = run("enrolment", "revoke", listed["id"])
    assert code == 2 and "was revoked, or has expired" in err
    code, _, err = run("retire", "c0")
    assert code == 2 and "there is no client c0" in err


def test_the_log_tells_it_all(run: Run) -> None:
    run("people", "add", "logged")
    entries = json.loads(run("audit", "--subject", "logged", "--json")[1])
    assert [(each["kind"], each["person"], each["outcome"]) for each in entries] == [("person_add", "admin", "done")]
    assert "person_add" in run("audit", "--kind", "person_add", "--limit", "1")[1]
    assert run("audit", "--kind", "nothing")[2] == "nothing of that kind was done\n"
    code, _, err = run("audit", "--since", "yesterday")
    assert code == 2 and "is no time" in err


def test_an_admin_who_lost_everything_gets_back_in_by_the_servers_commands(running: RunningMaster, run: Run) -> None:
    with running.store() as store:
        store.users.remove("admin")
    assert run("whoami")[0] == 4
    link = instance.login_link(running.settings)
    with running.store() as store:
        assert People(store).of_login_link(link.rpartition("/")[2]) == "admin"
    assert run("whoami")[1].startswith("admin (admin), scope admin"), "the token on the master's machine is good again"
    before = token_in_home(running)
    assert len(instance.reset_password(running.settings, "admin")) >= 12
    assert token_in_home(running) != before and run("whoami")[0] == 0
    kinds = [each["kind"] for each in json.loads(run("audit", "--person", "server", "--json")[1])]
    assert kinds[:4] == ["token_create", "password", "login_link", "token_create"]
    with pytest.raises(instance.InstanceError, match="no person nobody"):
        instance.reset_password(running.settings, "nobody")


def test_starting_again_keeps_a_good_token_and_takes_nobody_back(running: RunningMaster) -> None:
    before = token_in_home(running)
    with running.store() as store:
        People(store).add("second", "admin")
        instance._prepare(running.settings, store)
        assert token_in_home(running) == before
        People(store).remove("admin")
        instance._prepare(running.settings, store)
        assert store.users.by_name("admin") is None
    assert token_in_home(running) != before
