"""installer.sh on this machine, from a real master: it completes, or it leaves nothing."""

import itertools
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from dockercomp import images
from dockercomp.client import Client
from dockercomp.machine import supervisor
from tests.installer.conftest import ROOT, Volunteer, interrupt
from tests.integration.docker_parts import engine_for, image_id
from tests.integration.masters import RunningMaster, free_port
from tests.waiting import wait_until


def towards(master: RunningMaster, token: str | None = None) -> list[str]:
    given = master.enrolment_token() if token is None else token
    return ["--yes", "--host", "127.0.0.1", "--port", str(master.settings.port), *(["--token", given] if given else [])]


def test_help_tells_every_option(volunteer: Volunteer) -> None:
    code, said = volunteer.run("--help")
    assert code == 0
    for option in ("--help", "--yes", "--dry-run", "--prefix", "--uninstall", "--token", "--host", "--port"):
        assert option in said


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--token"], ["--prefix"]])
def test_wrong_usage_is_refused(volunteer: Volunteer, arguments: list[str]) -> None:
    code, said = volunteer.run(*arguments)
    assert code == 1
    assert said.startswith("error:")
    assert volunteer.left() == []


def test_a_dry_run_changes_nothing(volunteer: Volunteer) -> None:
    code, said = volunteer.run("--dry-run")
    assert code == 0, said
    assert f"make {volunteer.home}" in said
    assert volunteer.left() == []


def test_a_cut_off_download_does_nothing(volunteer: Volunteer, tmp_path: Path) -> None:
    whole = volunteer.script.read_text().splitlines(keepends=True)
    volunteer.script = tmp_path / "half.sh"
    for lines in (len(whole) // 3, len(whole) // 2, len(whole) - 1):
        volunteer.script.write_text("".join(whole[:lines]))
        volunteer.run("--yes")
        assert volunteer.left() == [str(volunteer.script)] or volunteer.left() == []


def test_a_master_that_is_down_is_told(volunteer: Volunteer) -> None:
    code, said = volunteer.run("--yes", "--host", "127.0.0.1", "--port", str(free_port()), "--token", "x")
    assert code == 1
    assert "DOWN" in said
    assert volunteer.left() == []


def test_plain_http_beyond_this_machine_is_refused(volunteer: Volunteer) -> None:
    code, said = volunteer.run("--yes", "--host", "master.example.org", "--token", "x")
    assert code == 1
    assert "--allow-plain-http" in said
    assert volunteer.left() == []


def test_a_token_is_needed(volunteer: Volunteer, master: RunningMaster) -> None:
    code, said = volunteer.run(*towards(master, token=""))
    assert code == 1
    assert "enrolment token" in said
    assert volunteer.left() == []


def test_someone_elses_folder_is_refused_and_untouched(volunteer: Volunteer, master: RunningMaster) -> None:
    volunteer.home.mkdir()
    (volunteer.home / "thesis").write_text("x")
    code, said = volunteer.run(*towards(master))
    assert code == 1
    assert "not empty and not ours" in said
    assert [path.name for path in volunteer.home.iterdir()] == ["thesis"]


def test_a_masters_own_folder_is_refused_and_untouched(volunteer: Volunteer, master: RunningMaster) -> None:
    volunteer.home = master.home
    code, said = volunteer.run(*towards(master))
    assert code == 1
    assert "is a master's" in said
    assert supervisor.status(master.home, "server") is not None


def test_a_token_that_is_not_accepted_leaves_nothing(volunteer: Volunteer, master: RunningMaster) -> None:
    code, said = volunteer.run(*towards(master, token="wrong"))
    assert code == 1
    assert "enrolment token" in said
    assert volunteer.left() == []


STEPS = [
    "Making an environment",
    "Installing the worker's packages",
    "Installing the worker",
    "Starting the worker",
    "Waiting until the master knows it",
]


@pytest.mark.parametrize(
    ("step", "number"), list(zip(STEPS, itertools.cycle([signal.SIGINT, signal.SIGTERM]), strict=False)), ids=STEPS
)
def test_interrupted_in_a_step_it_leaves_nothing(
    volunteer: Volunteer, master: RunningMaster, step: str, number: signal.Signals
) -> None:
    (volunteer.home.parent / "foreign").write_text("x")
    # A master that answers nobody's sync keeps the last step waiting: its worker cannot reach this port.
    process = volunteer.start(*towards(master))
    wait_until(lambda: f"== {step}" in volunteer.log() or process.poll() is not None, 60)
    code, said = interrupt(process, number)
    assert code in (130, 143), said
    assert "taking back what was done" in said
    assert volunteer.left() == []
    assert (volunteer.home.parent / "foreign").exists()


def test_install_again_stop_and_uninstall(volunteer: Volunteer, master: RunningMaster, tmp_path: Path) -> None:
    code, said = volunteer.run(*towards(master), NO_PROXY="127.0.0.1,kept.example.org", DC_CONTAINERS="1")
    assert code == 0, said
    first = status(volunteer)
    assert first["client"] in said
    assert first["ceiling"]["containers"] == 1
    programs = json.loads((volunteer.home / "run" / "worker.programs.json").read_text())["programs"]
    assert programs[0]["env"]["NO_PROXY"] == "127.0.0.1,kept.example.org", "proxies are kept"

    assert run_a_job(master, tmp_path) == b"4950\n", "its containers run"

    before = files(volunteer.home)
    code, said = volunteer.run(*towards(master), NO_PROXY="127.0.0.1,kept.example.org", DC_CONTAINERS="1")
    assert code == 0, said
    assert "there already" in said
    again = status(volunteer)
    assert (again["client"], again["pid"]) == (first["client"], first["pid"])
    after = files(volunteer.home)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed <= {str(volunteer.home / "configuration")}, "only the new token"

    command = volunteer.home / "bin" / "dockercomp-worker"
    assert subprocess.run([command, "stop"], check=False, timeout=90).returncode == 0
    assert subprocess.run([command, "status"], check=False, capture_output=True).returncode == 1
    assert subprocess.run([command, "uninstall", "--yes"], check=False, timeout=90).returncode == 0
    assert volunteer.left() == []


def test_uninstalling_where_nothing_is(volunteer: Volunteer) -> None:
    code, said = volunteer.run("--uninstall", "--yes")
    assert code == 0
    assert "nothing to remove" in said


def test_the_master_serves_it_with_its_address_and_only_a_link_has_the_token(master: RunningMaster) -> None:
    import requests

    plain = requests.get(f"{master.url}/installer.sh", timeout=10).text
    assert f"DC_SERVED_URL='{master.url}'" in plain
    assert "DC_SERVED_TOKEN=''" in plain
    linked = requests.get(f"{master.url}/installer.sh?token=abc", timeout=10).text
    assert "DC_SERVED_TOKEN='abc'" in linked
    assert re.search(r"^DC_SERVED_KEY='sha256:[0-9a-f]{64}'$", plain, re.MULTILINE)
    assert re.sub(r"^(DC_SERVED_\w+)='.*'$", r"\1=''", plain, flags=re.MULTILINE) == (ROOT / "installer.sh").read_text()


JOB = """
name = "sum"
image = "dockercomp/python"
[input]
split = "range"
start = 0
stop = 100
per_chunk = 100
[map]
command = ["python3", "-c", "import sys; print(sum(range(int(sys.argv[1]), int(sys.argv[2]))))", "{start}", "{stop}"]
[verify]
policy = "none"
[resources]
memory = "64 MiB"
disk = "16 MiB"
"""


def run_a_job(master: RunningMaster, scratch: Path) -> bytes:
    """The result of a job of one chunk."""
    folder = scratch / "job"
    folder.mkdir()
    (folder / "job.toml").write_text(JOB)
    engine = engine_for(scratch)
    image_id(engine)
    with Client(master.url, master.admin_token) as client:
        with images.saved("dockercomp/python") as archive:
            client.push_image("dockercomp/python", archive)
        job = client.submit(folder)
        *_, last = job.follow()
        assert last.state == "completed", last
        return job.result()


def status(volunteer: Volunteer) -> dict:
    done = subprocess.run(
        [volunteer.home / "bin" / "dockercomp-worker", "status", "--json"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def files(home: Path) -> dict[str, bytes]:
    """Paths and contents of what an install puts there; what a running worker writes left out."""
    left_out = ("run", "log", "worker")
    return {
        str(path): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.relative_to(home).parts[0] not in left_out and "__pycache__" not in path.parts
    }
