"""Containers that are shared by the attacks of a module: each must leave them as good as new."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docker_parts import engine_for
from tests.integration.hostile.lair import Lair, program
from worker.container import WarmContainer


@pytest.fixture(scope="module")
def lair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lair]:
    folder = tmp_path_factory.mktemp("lair")
    engine = engine_for(folder / "h")
    (folder / "job").mkdir(mode=0o755)
    lair = Lair(engine, folder / "h", folder / "job")
    try:
        yield lair
    finally:
        lair.remove()
        assert engine.ours() == []
        engine.close()


@pytest.fixture(scope="module")
def warm(lair: Lair) -> WarmContainer:
    """The container that attacks share."""
    return lair.container()


@pytest.fixture(scope="module")
def brief(lair: Lair) -> WarmContainer:
    """The same, with a second for each chunk."""
    return lair.container(program(time_limit=1.0))


@pytest.fixture(scope="module")
def neighbour(lair: Lair) -> WarmContainer:
    return lair.container()


@pytest.fixture
def home(lair: Lair) -> Path:
    return lair.home
