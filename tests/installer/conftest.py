"""A master to install from, and installer.sh as a process."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dockercomp.machine import supervisor, uninstall
from dockercomp.machine.docker_host import ask, find
from dockercomp.machine.docker_objects import LABEL
from dockercomp.machine.home import instance_label
from server import packages
from tests.integration.masters import RunningMaster, running_master

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    home = tmp_path_factory.mktemp("master")
    packages.build(home)
    with running_master(home) as running:
        yield running


@dataclass
class Volunteer:
    """A machine to install on: a DC_HOME to be, and a folder that gets the installer's temporary files."""

    home: Path
    scratch: Path
    script: Path = ROOT / "installer.sh"

    def environ(self, **more: str) -> dict[str, str]:
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("DC_", "U_", "PYTHON"))}
        return {**ours, "TMPDIR": str(self.scratch), **more}

    def start(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        """The installer in a process group of its own, as a terminal would start it; it cannot ask."""
        return subprocess.Popen(
            ["sh", str(self.script), "--prefix", str(self.home), *arguments],
            env=self.environ(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """Exit code and all output."""
        with self.start(*arguments, **environ) as process:
            said = process.communicate(timeout=240)[0]
            return process.returncode, said

    def log(self) -> str:
        path = self.home / "log" / "setup.log"
        return path.read_text() if path.exists() else ""

    def left(self) -> list[str]:
        """Everything of this instance that is on the machine."""
        here = [str(path) for path in (self.home, *self.scratch.iterdir()) if path.exists()]
        running = [
            entry.name
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and str(self.home).encode() in _command(entry) and int(entry.name) != os.getpid()
        ]
        return here + running + self.docker()

    def docker(self) -> list[str]:
        engine, wanted = find(self.home), f"{LABEL}={instance_label(self.home)}"
        return [entry["Id"] for entry in ask(engine, "GET", "/containers/json?all=1") if wanted in _labels(entry)]


def _labels(entry: dict) -> list[str]:
    return [f"{key}={value}" for key, value in (entry.get("Labels") or {}).items()]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def volunteer(tmp_path: Path) -> Iterator[Volunteer]:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    made = Volunteer(tmp_path / "home", scratch)
    yield made
    if (made.home / ".dockercomp").exists():
        supervisor.stop(made.home, "worker")
        assert uninstall.main(["--yes", "--home", str(made.home)]) == 0


def interrupt(process: "subprocess.Popen[str]", number: signal.Signals) -> tuple[int, str]:
    """What a terminal does at Ctrl-C or when it goes: the signal reaches the whole process group."""
    os.killpg(process.pid, number)
    said = process.communicate(timeout=120)[0]
    return process.returncode, said
