"""docker/python/build: the base image without a registry."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.machine.image_archive import archive_pin
from tests.integration.docker_parts import ARCHIVE, BUILD, IMAGE, engine_for
from worker.engine import Engine

LARGEST = 150 * 2**20


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = engine_for(tmp_path)
    yield engine
    engine.close()


def test_it_is_built_once_and_then_only_loaded(engine: Engine) -> None:
    command = [str(BUILD), "--archive", str(ARCHIVE)]
    subprocess.run(command, check=True, timeout=280)
    digest, platform = archive_pin(ARCHIVE)
    assert platform == engine.facts().platform and ARCHIVE.stat().st_size < LARGEST
    written = ARCHIVE.stat().st_mtime_ns
    # The far side of a package mirror is not there: what is cached needs none.
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "DC_DEBIAN_MIRROR": "http://127.0.0.1:9"})
    assert ARCHIVE.stat().st_mtime_ns == written
    assert engine.image_id(IMAGE) is not None
    assert digest.startswith("sha256:")


def test_without_root_it_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(BUILD), "--archive", "/nonexistent/a.tar"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "needs root" in done.stderr and "sudo" in done.stderr


def test_a_mirror_that_is_not_there_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "python.tar"
    done = subprocess.run(
        [str(BUILD), "--archive", str(archive)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DC_DEBIAN_MIRROR": "http://127.0.0.1:9/debian", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 1 and "http://127.0.0.1:9/debian" in done.stderr
    assert not archive.exists() and list(tmp_path.iterdir()) == []
