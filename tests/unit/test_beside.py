"""Two workers on one host and its CPUs, as two processes that really are two."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from worker.beside import Claims, sees_engine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")

_OTHER = "from worker.beside import Claims; c = Claims({name!r}); print(sorted(c.claim({cpus}))); input()"


@pytest.fixture
def name() -> str:
    return f"test-{secrets.token_hex(6)}"


def other(name: str, cpus: set[int]) -> "subprocess.Popen[str]":
    """Another process that has claimed what it could of these."""
    return subprocess.Popen(
        [sys.executable, "-c", _OTHER.format(name=name, cpus=cpus)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )


def test_a_cpu_is_one_workers_until_it_dies_however(name: str) -> None:
    with other(name, {0, 1}) as process, closing(Claims(name)) as ours:
        assert process.stdout is not None and process.stdout.readline() == "[0, 1]\n"
        assert ours.claim({1, 2}) == {2}
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        assert ours.claim({0, 1, 2}) == {0, 1, 2}, "the kernel took them back"


def test_what_is_given_back_can_be_had(name: str) -> None:
    with closing(Claims(name)) as ours:
        assert ours.claim({0, 1}) == {0, 1} == ours.claim({0, 1})
        ours.release({1, 7})
        assert ours.held == {0}
        with other(name, {0, 1}) as process:
            assert process.stdout is not None and process.stdout.readline() == "[1]\n"
            process.kill()


def test_no_descriptors_left_means_no_claim(name: str) -> None:
    script = (
        "import resource; from worker.beside import Claims; c = Claims({name!r});"
        " resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)); print(len(c.claim(range(100))) < 8)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script.format(name=name)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout == "True\n"


def test_an_engine_is_seen_where_its_process_is(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert sees_engine(f"unix://{path}")
    assert not sees_engine(f"unix://{path}"), "nobody answers any more"
    assert not sees_engine("tcp://127.0.0.1:2375") and not sees_engine("")
