"""An installation of the benchmark's own: a master as server/start brings it up, and workers as `dockercomp-worker run`
does, on this machine, in folders that are gone afterwards."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import CHECKOUT
from dockercomp import images
from dockercomp.client import Client
from dockercomp.machine import supervisor
from dockercomp.machine.home import instance_label
from dockercomp.machine.programs import Program
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import TokenRequest
from server import instance
from server.settings import Settings, read
from worker.engine import Engine

IMAGE = "dockercomp/python"


@dataclass
class Installation:
    """A master that runs, and the folders of its workers."""

    settings: Settings
    workers: list[Path] = field(default_factory=list)
    jobs: int = 0
    """Submitted so far by a benchmark that counts them."""

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def token(self) -> str:
        """The first admin's."""
        return str(json.loads((self.settings.home / "credentials.json").read_bytes())["token"])

    def client(self) -> Client:
        return Client(self.url, self.token)

    def admin(self) -> Connection:
        return Connection(self.url, self.token)

    def enrolment_token(self) -> str:
        with self.client() as client:
            return client.enrolment_token(TokenRequest(owner="bench", uses=100_000)).token

    def push_image(self) -> None:
        """dockercomp/python, built where this engine does not have it."""
        engine_image()
        with images.saved(IMAGE) as archive, self.client() as client:
            client.push_image(IMAGE, archive)

    def add_worker(self, *, containers: int, cpus: float, memory_mib: int) -> None:
        """One more worker, a client of its own."""
        number = len(self.workers) + 1
        home = self.settings.home / f"w{number}"
        home.mkdir()
        self.workers.append(home)
        env = {
            "DC_HOME": str(home),
            "DC_HOST": "127.0.0.1",
            "DC_PORT": str(self.settings.port),
            "DC_TOKEN": self.enrolment_token(),
            "DC_NAME": f"w{number}",
            "DC_CONTAINERS": str(containers),
            "DC_CPUS": str(cpus),
            "DC_MEMORY": f"{memory_mib}MiB",
            "DC_DOCKER_HOST": docker_host(),
        }
        command = (sys.executable, "-m", "worker.cli", "run")
        log = str(home / "log" / "worker.out")
        supervisor.start(home, "worker", [Program(name="worker", argv=command, log=log, env=env, cwd=str(CHECKOUT))])

    def stop_workers(self) -> None:
        """End them, and their containers."""
        for home in self.workers:
            supervisor.stop(home, "worker")
        self.workers.clear()


@contextmanager
def installed() -> Iterator[Installation]:
    """A master, stopped at the end together with the workers that it got; their folders go."""
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder:
        environ = {"DC_HOME": f"{folder}/h", "DC_PORT": str(free_port()), "PATH": os.environ["PATH"]}
        found = Installation(read(environ, None))
        try:
            instance.start(found.settings, lambda _: None)
            yield found
        finally:
            found.stop_workers()
            instance.stop(found.settings)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def docker_host() -> str:
    """The engine's address; empty: as Docker's own tools find it."""
    return os.environ.get("DC_DOCKER_HOST") or os.environ.get("DOCKER_HOST") or ""


def engine_image(home: Path = CHECKOUT) -> str:
    """The engine's id of dockercomp/python, built where it is missing."""
    engine = Engine(instance_label(home), docker_host() or None)
    try:
        found = engine.image_id(f"{IMAGE}:latest")
        if found is None:
            subprocess.run([str(CHECKOUT / "docker/python/build")], check=True)
            found = engine.image_id(f"{IMAGE}:latest")
    finally:
        engine.close()
    if found is None:
        raise RuntimeError(f"{IMAGE} was built, but this engine does not have it")
    return found
