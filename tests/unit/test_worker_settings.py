"""Settings, the volunteer's live edits, the identity, and the words of the commands."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import lock
from dockercomp.protocol.errors import Unauthorized
from dockercomp.protocol.messages import Allocation, Ceiling, ContainerReport, EnrolAnswer, EnrolRequest, Machine
from worker import identity, settings, status
from worker.cli import main, parse_duration
from worker.identity import NotEnrolled
from worker.limits import Wishes
from worker.volunteer import Control, Volunteer, read_control, write_control


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_environment_wins_over_the_file_in_dc_home(tmp_path: Path) -> None:
    write(tmp_path / "configuration", "DC_HOST=localhost\nDC_PORT=9000\nDC_CONTAINERS=3\nDC_MEMORY='1.5 GiB'\n")
    found = settings.read({"DC_HOME": str(tmp_path), "DC_PORT": "9001", "DC_CONFIGURATION": "/nonexistent"})
    assert found.url == "http://localhost:9001"
    assert found.wishes == Wishes(containers=3, memory=1536 * 2**20)
    assert found.source == tmp_path / "configuration" and found.home == tmp_path


def test_a_named_configuration_is_read_where_dc_home_has_none(tmp_path: Path) -> None:
    file = write(tmp_path / "etc/worker", f"DC_HOME={tmp_path}/home\nDC_NAME=attic\n")
    found = settings.read({"DC_HOME": str(tmp_path / "empty"), "DC_CONFIGURATION": str(file)})
    assert found.name == "attic"


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("DC_CONTAINERS", "0", "must be between"),
        ("DC_CONTAINERS", "1.5", "whole number"),
        ("DC_CPUS", "many", "not a number"),
        ("DC_MEMORY", "4 elephants", "not a size"),
        ("DC_MEMORY", "1MiB", "at least 64MiB"),
        ("DC_PORT", "99999", "must be between"),
        ("DC_SCHEME", "gopher", "http or https"),
        ("DC_HOST", "master.example.org", "plain HTTP beyond this machine"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_mend(tmp_path: Path, key: str, value: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        settings.read({"DC_HOME": str(tmp_path), key: value})


def test_beyond_loopback_https_or_a_flag_is_needed(tmp_path: Path) -> None:
    far = {"DC_HOME": str(tmp_path), "DC_HOST": "master.example.org", "DC_PORT": "443"}
    assert settings.read({**far, "DC_SCHEME": "https"}).url == "https://master.example.org:443"
    assert settings.read({**far, "DC_ALLOW_PLAIN_HTTP": "yes"}).url == "http://master.example.org:443"


def test_an_edit_is_picked_up_and_a_malformed_one_keeps_the_old_values(tmp_path: Path) -> None:
    file = write(tmp_path / "configuration", "DC_CONTAINERS=1\n")
    volunteer = Volunteer(tmp_path, file, Wishes(containers=1), {})
    assert volunteer.look().wishes == Wishes(containers=1)
    write(file, "DC_CONTAINERS=2\nDC_CPUS=1.5\n")
    assert volunteer.look().wishes == Wishes(containers=2, cpus=1.5)
    write(file, "DC_CONTAINERS=2\nDC_CPUS=lots of them\n")
    broken = volunteer.look()
    assert broken.wishes == Wishes(containers=2, cpus=1.5) and "line 2" in broken.problem
    write(file, "DC_CONTAINERS=4\n")
    assert (volunteer.look().wishes, volunteer.look().problem) == (Wishes(containers=4), "")


def test_an_edit_while_the_daemon_was_still_starting_is_picked_up(tmp_path: Path) -> None:
    file = write(tmp_path / "configuration", "DC_CONTAINERS=1\n")
    read = settings.reread_wishes(file, {})
    write(file, "DC_CONTAINERS=2\n")
    assert Volunteer(tmp_path, file, read, {}).look().wishes == Wishes(containers=2)


def test_an_edit_that_is_not_utf_8_is_told_as_a_problem(tmp_path: Path) -> None:
    file = write(tmp_path / "configuration", "DC_CONTAINERS=1\n")
    volunteer = Volunteer(tmp_path, file, Wishes(containers=1), {})
    file.write_bytes("DC_CONTAINERS=2\nDC_NAME='Küche'\n".encode("latin-1"))
    seen = volunteer.look()
    assert seen.wishes == Wishes(containers=1) and f"{file}, line 2: not UTF-8" in seen.problem


def test_a_pause_ends_by_itself() -> None:
    assert Control(paused=True).pauses(1e12)
    assert Control(paused=True, until=100.0).pauses(99.0)
    assert not Control(paused=True, until=100.0).pauses(100.0)
    assert not Control().pauses(0.0)


def test_what_is_asked_by_an_odd_file_stops_nothing_and_one_that_cannot_be_read_pauses(tmp_path: Path) -> None:
    file = write(tmp_path / "worker/control.json", '{"paused":true,"until":1e300}')
    assert read_control(tmp_path) == Control()
    file.write_bytes(b'{"paused":true,"unread":"\xff"}')
    assert read_control(tmp_path) == Control()
    file.unlink()
    file.mkdir()  # to root, too, as a file of another user is to others
    view = Volunteer(tmp_path, None, Wishes(), {}).look()
    assert view.paused and "cannot be read" in view.why_paused and "resume" in view.why_paused


MACHINE = Machine(hostname="h", cpus=1, memory=1, disk_free=1, platform="linux/amd64")
CEILING = Ceiling(containers=1, cpus=1, memory=1)


def test_enrolling_happens_once_and_keeps_its_request_over_failures(tmp_path: Path) -> None:
    heard: list[EnrolRequest] = []

    def refuse(request: EnrolRequest) -> EnrolAnswer:
        heard.append(request)
        raise Unauthorized

    def accept(request: EnrolRequest) -> EnrolAnswer:
        heard.append(request)
        return EnrolAnswer(client="c1", secret="s", master_key="k", owner="lab")

    with pytest.raises(NotEnrolled, match="DC_TOKEN"):
        identity.ensure(tmp_path, "", MACHINE, CEILING, accept)
    with pytest.raises(Unauthorized):
        identity.ensure(tmp_path, "t", MACHINE, CEILING, refuse)
    first = identity.ensure(tmp_path, "t", MACHINE, CEILING, accept)
    assert identity.ensure(tmp_path, "t", MACHINE, CEILING, refuse) == first
    assert identity.ensure(tmp_path, "", MACHINE, CEILING, refuse) == first
    identity.ensure(tmp_path, "another", MACHINE, CEILING, accept)
    assert len(heard) == 3 and len({request.request for request in heard}) == 1
    assert (tmp_path / "worker/identity.json").stat().st_mode & 0o777 == 0o600


def run(home: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments, env={"DC_HOME": str(home), "DC_CONFIGURATION": "/nonexistent"})
    return result.exit_code, result.output


def test_a_configuration_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/var/lib/dockercomp/configuration")

    monkeypatch.setattr(settings.configuration, "text", closed)
    (tmp_path / "configuration").touch()
    code, text = run(tmp_path, "status")
    assert code == 78 and "cannot be read: [Errno 13] Permission denied: '/var/lib/dockercomp/conf" in text


def test_status_tells_running_from_gone(tmp_path: Path) -> None:
    assert run(tmp_path, "status") == (1, "State       never started\n")
    (tmp_path / "worker").mkdir()
    report = ContainerReport(name="dc-1", id="x", job="j1", state="running", image="i", chunk="map 3", cpus_limit=0.5)
    written = status.Status(
        state="working",
        sentence="Running 1 chunks.",
        pid=os.getpid(),
        client="c1",
        owner="lab",
        last_sync=1.0,
        ceiling=Ceiling(containers=2, cpus=2, memory=2**30),
        allocation=Allocation(version=1, containers=1, cpus=0.5, memory=2**28),
        containers=[report],
    )
    status.write(tmp_path, written)
    code, text = run(tmp_path, "status")
    assert code == 1 and "gone without a word" in text
    with lock(tmp_path, "worker"):
        code, text = run(tmp_path, "status")
        assert code == 0
        for expected in (
            "c1 of lab",
            "1 containers, 0.5 CPUs and 256 MiB each",
            "2 containers, 2 CPUs",
            "map 3",
            "0.50",
        ):
            assert expected in text
        code, text = run(tmp_path, "status", "--json")
        assert code == 0 and json.loads(text)["client"] == "c1"
        assert "1024 MiB in all" in run(tmp_path, "limits")[1]
        code, text = run(tmp_path, "run")
        assert code == 1
    assert run(tmp_path, "stop") == (0, "No worker runs here.\n")


def test_pause_and_resume_write_what_the_daemon_reads(tmp_path: Path) -> None:
    assert run(tmp_path, "pause")[0] == 0
    assert read_control(tmp_path) == Control(paused=True)
    assert "Paused until" in run(tmp_path, "pause", "2h")[1]
    assert read_control(tmp_path).until is not None
    assert run(tmp_path, "resume") == (0, "Going on.\n")
    assert run(tmp_path, "resume") == (0, "It was not paused.\n")
    assert run(tmp_path, "pause", "soon")[0] == 2
    write_control(tmp_path, Control())


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90", "90s", "1.5m", "2h", "1d")] == [90, 90, 90, 7200, 86400]


def test_errors_of_use_have_their_exit_codes(tmp_path: Path) -> None:
    assert run(tmp_path, "log")[0] == 1 and run(tmp_path, "limits")[0] == 1 and run(tmp_path, "uninstall")[0] == 1
    write(tmp_path / "configuration", "DC_CONTAINRS=2\n")
    code, text = run(tmp_path, "status")
    assert code == 78 and "did you mean DC_CONTAINERS" in text


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("DC_DISK=1MiB", "at least 64MiB"),
        ("DC_NETWORK_PER_DAY=100MiB", "at least 128MiB"),
        ("DC_HOURS=18:00-18:00", "ends when it begins"),
        ("DC_HOURS='someday'", "not a day"),
        ("DC_WHEN_IDLE=sometimes", "yes, no, or minutes"),
        ("DC_WHEN_IDLE=0", "yes, no, or minutes"),
        ("DC_ON_BATTERY=maybe", "yes or no"),
        ("DC_UNLIMITED=allow", "refuse or warn"),
    ],
)
def test_a_ceiling_that_cannot_be_followed_is_refused_with_its_line_and_the_mend(
    tmp_path: Path, line: str, why: str
) -> None:
    file = write(tmp_path / "configuration", f"# mine\nDC_CONTAINERS=1\n{line}\n")
    with pytest.raises(ConfigurationError, match=f"line 3: {line.partition('=')[0]}=.*{why}"):
        settings.reread_wishes(file, {})


def test_the_ceilings_keys_become_wishes(tmp_path: Path) -> None:
    file = write(
        tmp_path / "configuration",
        "DC_DISK=1GiB\nDC_NETWORK_PER_DAY=1GiB\nDC_WHEN_IDLE=10\nDC_ON_BATTERY=no\nDC_UNLIMITED=warn\nDC_HOURS=sat-sun\n",
    )
    found = settings.reread_wishes(file, {})
    assert (found.disk, found.network_per_day, found.idle_s) == (2**30, 2**30, 600.0)
    assert not found.on_battery and found.unlimited == "warn" and str(found.hours) == "sat-sun"
    assert settings.reread_wishes(None, {"DC_WHEN_IDLE": "yes"}).idle_s == 300.0
    assert settings.reread_wishes(None, {}).idle_s is None
