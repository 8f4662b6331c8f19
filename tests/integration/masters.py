"""Masters of the tests' own: whole instances as server/start brings them up, on free ports and folders of their own."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import TokenAnswer, TokenRequest
from server import instance
from server.settings import Settings, read
from server.store import Store
from server.wiring import open_store


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningMaster:
    settings: Settings
    admin_token: str
    pin: str = ""
    """Of the certificate, where the master speaks TLS."""

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def home(self) -> Path:
        return self.settings.home

    def admin(self, **options: object) -> Connection:
        return Connection(self.url, self.admin_token, pin=self.pin, **options)  # type: ignore[arg-type]

    def enrolment_token(self) -> str:
        return self.admin().call("enrolment_token", TokenAnswer, TokenRequest(owner="lab", uses=10_000)).token

    def store(self) -> Store:
        return open_store(self.settings)


@contextmanager
def running_master(home: Path, **extra: str) -> Iterator[RunningMaster]:
    """A master with its own embedded mongod, stopped at the end."""
    environ = {"DC_HOME": str(home), "DC_PORT": str(free_port()), "PATH": os.environ["PATH"], **extra}
    settings = read(environ)
    instance.start(settings, lambda _: None)
    try:
        noted = json.loads((home / "credentials.json").read_text())
        yield RunningMaster(settings, noted["token"], noted["tls_pin"])
    finally:
        instance.stop(settings)
