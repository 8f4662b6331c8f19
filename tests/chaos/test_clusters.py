"""Workers as jobs of a real Slurm and on spot instances, by the scripts of docs/examples/clusters."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dockercomp import images
from tests.chaos.conftest import CHECKOUT, Installation
from tests.chaos.slurm_parts import Slurm, is_there, running_slurm
from tests.integration.masters import running_master
from tests.waiting import wait_until

SCRIPTS = CHECKOUT / "docs" / "examples" / "clusters"
_LONG = """
name = "long"
image = "dockercomp/python"
[input]
split = "range"
start = 0
stop = 2
per_chunk = 1
[map]
command = ["sh", "-c", "test $0 = 0 || sleep 600; echo $0", "{start}"]
[verify]
policy = "none"
[resources]
memory = "64 MiB"
disk = "16 MiB"
time_limit = "20 min"
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, image_archive: Path) -> Iterator[Installation]:
    """A master without workers."""
    with running_master(tmp_path_factory.mktemp("clusters") / "h") as master:
        running = Installation(master, os.environ.get("DC_DOCKER_HOST", os.environ.get("DOCKER_HOST", "")))
        with running.client() as client:
            client.push_image("dockercomp/python", images.describe(image_archive))
        yield running


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    if os.geteuid():
        pytest.skip("a cluster of one's own needs root")
    assert is_there(), "Slurm is missing: tests/run installs slurmctld, slurmd, slurm-client and munge"
    with tempfile.TemporaryDirectory(prefix="dcs-", dir="/tmp") as folder, running_slurm(Path(folder)) as found:
        yield found


@pytest.fixture
def place() -> Iterator[Path]:
    """Where ephemeral workers put their folders; nothing may be left there."""
    with tempfile.TemporaryDirectory(prefix="dct-", dir="/tmp") as folder:
        yield Path(folder)
        assert list(Path(folder).iterdir()) == []


def environ(pool: Installation, place: Path) -> dict[str, str]:
    return {
        "DC_HOST": "127.0.0.1",
        "DC_PORT": str(pool.master.settings.port),
        "DC_TOKEN": pool.master.enrolment_token(),
        "DC_HOME": str(place / "none"),
        "DC_DOCKER_HOST": pool.engine_host,
        "DOCKERCOMP_WORKER": str(Path(sys.executable).with_name("dockercomp-worker")),
        "TMPDIR": str(place),
    }


def long_job(pool: Installation, folder: Path) -> str:
    """One chunk that ends at once, and one that takes ten minutes."""
    folder.mkdir()
    (folder / "job.toml").write_text(_LONG)
    with pool.client() as client:
        return client.submit(folder).id


def runs(pool: Installation, job: str) -> bool:
    """The first chunk is done, and the other one is handed out."""
    with pool.client() as client:
        stage = client.job(job).view.stages[0]
        return (stage.accepted, stage.issued) == (1, 2)


def states(pool: Installation) -> set[str]:
    with pool.client() as client:
        return {each.state for each in client.clients()}


def test_a_batch_job_computes_its_chunks_and_ends_before_its_limit(
    pool: Installation, slurm: Slurm, place: Path, tmp_path: Path
) -> None:
    job = pool.submit(tmp_path, chunks=12, quorum=1)
    number = slurm.submit(SCRIPTS / "slurm.sh", "--chunks", "12", environ=environ(pool, place), minutes=10)
    view = pool.follow(job.id)
    assert view.state == "completed", slurm.said()
    wait_until(lambda: slurm.ended(number), 120)
    found = slurm.job(number)
    assert (found["JobState"], found["ExitCode"]) == ("COMPLETED", "0:0"), slurm.said()
    assert pool.result(job.id).split() == [b"%d" % (n * n) for n in range(12)]
    assert states(pool) == {"retired"}, "it gave its identity up"


def test_a_batch_job_that_is_told_to_go_gives_its_chunk_back(
    pool: Installation, slurm: Slurm, place: Path, tmp_path: Path
) -> None:
    job = long_job(pool, tmp_path / "long")
    number = slurm.submit(SCRIPTS / "slurm.sh", "--grace", "1", environ=environ(pool, place), minutes=10)
    wait_until(lambda: runs(pool, job), 120)
    slurm.call("scancel", "--batch", "--signal=TERM", number)
    wait_until(lambda: slurm.ended(number), 120)
    assert slurm.job(number)["ExitCode"] == "0:0", slurm.said()
    with pool.client() as client:
        view = client.job(job).view
        assert (view.state, view.stages[0].accepted) == ("running", 1)
        client.job(job).cancel()
    assert states(pool) == {"retired"}


@contextmanager
def metadata() -> Iterator[tuple[str, threading.Event]]:
    """A cloud's page that is not there until the instance is to go; its address, and what lets it be there."""
    going = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if going.is_set() else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/action", going
    finally:
        server.shutdown()
        server.server_close()


def test_a_spot_instance_that_is_warned_gives_its_chunk_back(pool: Installation, place: Path, tmp_path: Path) -> None:
    job = long_job(pool, tmp_path / "long")
    with metadata() as (address, going):
        env = {**os.environ, **environ(pool, place), "WARNING": address, "TOKENS": "", "EVERY": "0.2"}
        script = subprocess.Popen([str(SCRIPTS / "spot.sh"), "--ephemeral", "--grace", "1"], env=env)
        try:
            wait_until(lambda: runs(pool, job), 120)
            going.set()
            assert script.wait(120) == 0
        finally:
            script.terminate()
            script.wait(120)
    with pool.client() as client:
        view = client.job(job).view
        assert (view.state, view.stages[0].accepted) == ("running", 1)
        client.job(job).cancel()


def test_under_a_plain_timeout_it_ends_by_itself(pool: Installation, place: Path, tmp_path: Path) -> None:
    job = pool.submit(tmp_path, chunks=4, quorum=1)
    env = {**os.environ, **environ(pool, place)}
    worker = env["DOCKERCOMP_WORKER"]
    done = subprocess.run(
        ["timeout", "300", worker, "run", "--ephemeral", "--until", "+5m", "--chunks", "4"], env=env, check=False
    )
    assert done.returncode == 0
    assert pool.follow(job.id).state == "completed"
