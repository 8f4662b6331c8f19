"""A whole installation for the kill tests: master, mongod, and workers in processes of their own, real containers."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from dockercomp import images
from dockercomp.client import Client
from dockercomp.machine import supervisor
from dockercomp.machine.home import instance_label
from dockercomp.machine.programs import Program
from dockercomp.protocol.views import JobView
from tests.integration.docker_parts import engine_for, image_id
from tests.integration.masters import RunningMaster, running_master
from worker.engine import Engine

CHECKOUT = Path(__file__).resolve().parents[2]

JOB = """
name = "squares"
image = "dockercomp/python"
[input]
split = "range"
start = 0
stop = {chunks}
per_chunk = 1
[map]
command = ["sh", "work.sh", "{{start}}"]
[verify]
quorum = {quorum}
[resources]
memory = "64 MiB"
disk = "16 MiB"
time_limit = "30 s"
"""
WORK = "sleep 0.2; echo $(($1 * $1))\n"


@dataclass
class Installation:
    """A running installation; `kill` ends a process the hard way."""

    master: RunningMaster
    engine_host: str
    homes: list[Path] = field(default_factory=list)

    def client(self) -> Client:
        return Client(self.master.url, self.master.admin_token)

    def add_worker(self, number: int, **extra: str) -> Path:
        """Start a worker under a supervisor of its own, with `extra` configuration; returns its DC_HOME."""
        home = self.master.home / f"w{number}"
        home.mkdir()
        self.homes.append(home)
        env = {
            "DC_HOME": str(home),
            "DC_HOST": "127.0.0.1",
            "DC_PORT": str(self.master.settings.port),
            "DC_TOKEN": self.master.enrolment_token(),
            "DC_NAME": f"w{number}",
            "DC_CONTAINERS": "2",
            "DC_CPUS": "1",
            "DC_MEMORY": "512MiB",
            "DC_DOCKER_HOST": self.engine_host,
            **extra,
        }
        program = Program(
            name="worker",
            argv=(sys.executable, "-m", "worker.cli", "run"),
            log=str(home / "log" / "worker.out"),
            env=env,
            cwd=str(CHECKOUT),
        )
        supervisor.start(home, "worker", [program])
        return home

    def pid(self, home: Path, name: str, program: str) -> int:
        found = supervisor.status(home, name)
        assert found is not None and found.programs[program].pid is not None
        return int(found.programs[program].pid or 0)

    def submit(self, tmp_path: Path, chunks: int = 30, quorum: int = 2) -> JobView:
        folder = tmp_path / "squares"
        folder.mkdir()
        (folder / "job.toml").write_text(JOB.format(chunks=chunks, quorum=quorum))
        (folder / "work.sh").write_text(WORK)
        with self.client() as client:
            return client.submit(folder).view

    def follow(self, job: str, *, until_accepted: int | None = None) -> JobView:
        """The job once it has ended, or once so many of its chunks are accepted."""
        with self.client() as client:
            for view in client.job(job).follow():
                if until_accepted is not None and view.stages[0].accepted >= until_accepted:
                    return view
        return view

    def result(self, job: str) -> bytes:
        with self.client() as client:
            return client.job(job).result()


def kill(pid: int) -> None:
    """Kill -9, and wait until it is gone."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=30)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = engine_for(tmp_path)
    image_id(engine)
    return engine


@pytest.fixture(scope="session")
def image_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image dockercomp/python, saved once for all tests."""
    image_id(engine_for(tmp_path_factory.mktemp("e")))
    with images.saved("dockercomp/python") as archive:
        yield archive.path


@pytest.fixture
def installation(tmp_path: Path, image_archive: Path) -> Iterator[Installation]:
    """Master and two workers."""
    with running_master(tmp_path / "h") as master:
        running = Installation(master, os.environ.get("DC_DOCKER_HOST", os.environ.get("DOCKER_HOST", "")))
        with running.client() as client:
            client.push_image("dockercomp/python", images.describe(image_archive))
        try:
            for number in (1, 2):
                running.add_worker(number)
            yield running
        finally:
            for home in running.homes:
                supervisor.stop(home, "worker")
    for home in running.homes:
        assert Engine(instance_label(home), running.engine_host).ours() == [], "a worker left containers behind"
