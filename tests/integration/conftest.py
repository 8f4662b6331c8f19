"""Real parts for the integration tests: a mongod of the tests' own, masters and stores on it, and warm containers."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.machine import supervisor
from dockercomp.protocol.orders import JobOrder
from server.settings import Settings
from server.store import Store, mongod, schema
from server.store.blobs import DirectoryBlobs
from server.store.connection import connect
from tests.integration.shelf_parts import shelf

__all__ = ["shelf"]
from tests.integration.docker_parts import Start, container_of, engine_for
from worker.container import WarmContainer
from worker.engine import Engine
from worker.tasks import Size


@pytest.fixture(scope="session")
def mongo_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A DC_HOME in which an embedded mongod runs."""
    home = tmp_path_factory.mktemp("mongo")
    supervisor.start(home, "server", [mongod.program(home)])
    try:
        mongod.prepare(home, "dockercomp")
        yield home
    finally:
        supervisor.stop(home, "server")


@pytest.fixture(scope="session")
def mongo_uri(mongo_home: Path) -> str:
    """Its address for a user who may make databases."""
    password = (mongo_home / "secrets" / "mongo.root").read_text()
    return f"mongodb://root:{password}@127.0.0.1:{mongod.port(mongo_home)}/?directConnection=true&authSource=admin"


@pytest.fixture
def settings(mongo_uri: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a master with a database of its own."""
    database = f"test_{secrets.token_hex(6)}"
    yield Settings(
        home=tmp_path / "home",
        host="127.0.0.1",
        port=1,
        bind="127.0.0.1",
        scheme="http",
        mongo_uri=mongo_uri,
        database=database,
        processes=1,
        threads=4,
        public_url="",
    )
    client = connect(mongo_uri, database).client
    client.drop_database(database)
    client.close()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """A store with its indexes, empty."""
    database = connect(settings.mongo_uri, settings.database)
    schema.apply(database, settings.mongo_uri)
    yield Store(database, DirectoryBlobs(settings.home / "blobs"))
    database.client.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The DC_HOME of containers."""
    return tmp_path / "h"


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    engine = engine_for(home)
    yield engine
    assert engine.ours() == [], "a test left a container behind"
    engine.close()


@pytest.fixture
def start(engine: Engine, home: Path) -> Iterator[Start]:
    """Starts containers and removes them."""
    started: list[WarmContainer] = []

    def starts(order: JobOrder, program: Path | None = None, size: Size | None = None) -> WarmContainer:
        container = container_of(engine, home, order, program, size)
        started.append(container)
        container.start()
        return container

    yield starts
    for container in started:
        container.stop()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """An empty job folder."""
    folder = tmp_path / "job"
    folder.mkdir(mode=0o755)
    return folder
