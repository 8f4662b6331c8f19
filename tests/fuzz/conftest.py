"""A whole master's application on a real mongod, full of things that requests can hit, and the budget of requests."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fuzz.target import Target, target
from tests.integration.conftest import mongo_home, mongo_uri

__all__ = ["mongo_home", "mongo_uri"]

REQUESTS = int(os.environ.get("DC_FUZZ_REQUESTS", "4000"))
"""Of all tests here together."""


def share(part: float) -> int:
    """So many requests are a test's part of all."""
    return max(100, round(REQUESTS * part))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A hang fails: but many requests may take long."""
    for item in items:
        item.add_marker(pytest.mark.timeout(300 + REQUESTS // 5))


@pytest.fixture(scope="module")
def here(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(mongo_uri, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other hosts none answers: requests may name any."""
    connect = socket.socket.connect

    def bounded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
            raise OSError("no such host here")
        connect(self, address)

    def unknown(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "127.0.0.1":
            return found(host, *rest, **options)
        raise socket.gaierror(socket.EAI_NONAME, "no such host here")

    found = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", bounded)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("NO_PROXY", "*")
