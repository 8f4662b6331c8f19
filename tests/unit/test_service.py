"""Keeping an installed worker running: under the supervisor, and as a systemd unit.

Stand-ins play the worker and systemctl.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.machine import manifest, service, supervisor
from dockercomp.machine.service import ServiceError

WORKER = """#!{python} -S
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from dockercomp.machine.home import lock
home = Path(os.environ["DC_HOME"])
held = lock(home, "worker")
told = json.loads((home / "say").read_text())
(home / "worker").mkdir(exist_ok=True)
(home / "worker" / "status.json").write_text(json.dumps({{"pid": os.getpid(), **told}}))
if told["state"] == "stopped":
    print(told["sentence"])
    sys.exit(int(told["exit"]))
signal.pause()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = tmp_path / "home"
    program = made / "env" / "bin" / "dockercomp-worker"
    program.parent.mkdir(parents=True)
    program.write_text(WORKER.format(python=sys.executable, root=str(Path(__file__).resolve().parents[2])))
    program.chmod(0o755)
    (made / "run").mkdir()
    monkeypatch.setattr(service, "_unit_path", lambda _: None)
    yield made
    assert supervisor.stop(made, service.SUPERVISOR, 20)


def says(home: Path, **told: object) -> None:
    (home / "say").write_text(json.dumps(told))


def process(home: Path) -> int | None:
    found = supervisor.status(home, service.SUPERVISOR)
    assert found is not None
    return found.programs["worker"].pid


def test_it_waits_until_the_master_knows_the_worker(home: Path) -> None:
    says(home, state="idle", client="c1", last_sync=1.0)
    service.start(home, {})
    service.wait(home, 20)


def test_an_offline_worker_is_told_with_its_reason(home: Path) -> None:
    says(home, state="offline", client="c1", last_sync=1.0, sentence="The master does not answer: refused.")
    service.start(home, {})
    with pytest.raises(ServiceError, match=r"not reached the master.*refused"):
        service.wait(home, 0.5)


@pytest.mark.parametrize("code", [0, 76, 77, 78])
def test_a_worker_that_gives_up_is_told_at_once(home: Path, code: int) -> None:
    says(home, state="stopped", sentence="wrong token", exit=code)
    service.start(home, {})
    with pytest.raises(ServiceError, match="the worker ended: wrong token"):
        service.wait(home, 20)


def test_a_worker_that_cannot_start_is_told_with_its_last_words(home: Path) -> None:
    (home / "say").write_text("nonsense")
    service.start(home, {})
    with pytest.raises(ServiceError, match="JSONDecodeError"):
        service.wait(home, 20)


def test_a_second_start_leaves_it_running_until_something_changed(home: Path) -> None:
    says(home, state="idle", client="c1", last_sync=1.0)
    service.start(home, {"HTTPS_PROXY": "http://proxy:1", "SECRET": "x"})
    service.wait(home, 20)
    first = process(home)
    service.start(home, {"HTTPS_PROXY": "http://proxy:1"})
    assert process(home) == first
    (home / "env" / ".stamp").write_text("another version")
    service.start(home, {"HTTPS_PROXY": "http://proxy:1"})
    assert process(home) != first
    stored = json.loads((home / "run" / "worker.programs.json").read_text())["programs"][0]["env"]
    assert stored["HTTPS_PROXY"] == "http://proxy:1"
    assert "SECRET" not in stored


# --- systemd -----------------------------------------------------------------------------------------------------


@pytest.fixture
def systemd(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A unit's place, and a systemctl that writes down what it was asked."""
    unit = tmp_path / "config" / "user" / "dockercomp-worker-x.service"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n[ ! -e {tmp_path}/fails ] || {{ echo no >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(service, "_unit_path", lambda *_: unit)
    monkeypatch.setattr(service, "_scope", list)
    return unit


def asked(systemd: Path) -> list[str]:
    path = systemd.parents[2] / "asked"
    lines = path.read_text().splitlines()
    path.unlink()
    return lines


def test_the_unit_is_recorded_written_enabled_and_started(home: Path, systemd: Path) -> None:
    service.start(home, {"HTTPS_PROXY": "http://proxy:1/?a b"})
    kinds = [(entry.kind, entry.name) for entry in manifest.entries(home)]
    assert kinds == [
        ("directory", str(systemd.parents[1])),
        ("directory", str(systemd.parent)),
        ("service", str(systemd)),
    ]
    text = systemd.read_text()
    assert f"ExecStart={home}/env/bin/dockercomp-worker run" in text
    assert f"Environment=DC_HOME={home}" in text
    assert "RestartPreventExitStatus=76 77 78" in text
    assert (home / "environment").read_text() == "HTTPS_PROXY='http://proxy:1/?a b'\n"
    assert (home / "environment").stat().st_mode & 0o777 == 0o600
    assert asked(systemd) == ["daemon-reload", f"enable {systemd.name}", f"restart {systemd.name}"]


def test_an_unchanged_unit_is_not_started_again(home: Path, systemd: Path) -> None:
    service.start(home, {})
    asked(systemd)
    service.start(home, {})
    assert asked(systemd)[-1] == f"start {systemd.name}"
    (home / "env" / ".stamp").write_text("another version")
    service.start(home, {})
    assert asked(systemd)[-1] == f"restart {systemd.name}"


def test_what_systemd_refuses_is_told(home: Path, systemd: Path) -> None:
    (systemd.parents[2] / "fails").touch()
    with pytest.raises(ServiceError, match="systemctl daemon-reload: no"):
        service.start(home, {})


def test_a_rootless_engine_is_a_unit_of_its_own_whose_limits_hold(
    home: Path, systemd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_ready: list[Path] = []
    monkeypatch.setattr(service.private_engine, "prepare", made_ready.append)
    monkeypatch.setattr(service.private_engine, "wait", lambda _: "unix:///there")
    service.engine(home)
    text = systemd.read_text()
    assert f"ExecStart={home}/env/bin/python -m dockercomp.machine.private_engine run" in text
    assert "Delegate=yes" in text and f"Environment=DC_HOME={home}" in text
    assert made_ready == [home]
    assert asked(systemd) == ["daemon-reload", f"enable {systemd.name}", f"restart {systemd.name}"]
    assert ("service", str(systemd)) in [(entry.kind, entry.name) for entry in manifest.entries(home)]
