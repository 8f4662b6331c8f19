"""An installation for foreign programs and ready-made jobs: a real master and two real workers, once for all tests."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp import images
from dockercomp.client import Client
from dockercomp.job import Job, JobFailed
from dockercomp.machine import supervisor
from dockercomp.machine.home import instance_label
from tests.chaos.conftest import Installation
from tests.integration.docker_parts import engine_for, image_id
from tests.integration.masters import running_master
from worker.engine import Engine

CHECKOUT = Path(__file__).resolve().parents[2]
JOBS = CHECKOUT / "jobs"
FOREIGN = CHECKOUT / "tests" / "foreign"


class Shelf:
    """`client` speaks to the installation. Images are built and pushed when they are first asked for."""

    def __init__(self, installation: Installation) -> None:
        self.client: Client = installation.client()
        self._pushed: set[str] = set()

    def need(self, image: str) -> None:
        if image in self._pushed:
            return
        if image == "dockercomp-test/foreign":
            build = ["docker", "build", "--quiet", "--network", "host", "--tag", image, str(FOREIGN)]
            subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        elif image != "dockercomp/python":
            subprocess.run([str(CHECKOUT / "docker" / "build"), image.removeprefix("dockercomp/")], check=True)
        with images.saved(image) as archive:
            self.client.push_image(image, archive)
        self._pushed.add(image)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("shelf")
    image_id(engine_for(folder))
    with running_master(folder / "h") as master:
        running = Installation(master, os.environ.get("DC_DOCKER_HOST", os.environ.get("DOCKER_HOST", "")))
        try:
            for number in (1, 2):
                running.add_worker(number, DC_CPUS="2", DC_MEMORY="2GiB")
            found = Shelf(running)
            yield found
            found.client.close()
        finally:
            for home in running.homes:
                supervisor.stop(home, "worker")
    for home in running.homes:
        assert Engine(instance_label(home), running.engine_host).ours() == [], "a worker left containers behind"


def locally(image: str, program: Path, script: str, *inputs: Path, result: Path | None = None) -> bytes:
    """What the shell script prints with the paths of `inputs`, in the folder `program`, in a plain container of the
    image, on one machine. What it writes into /result is then in `result`.
    """
    command = ["docker", "run", "--rm", "--network", "none", "--volume", f"{program}:/job", "--workdir", "/job"]
    paths = []
    if inputs:
        data = Path(os.path.commonpath([path.parent for path in inputs]))
        command += ["--volume", f"{data}:/data:ro"]
        paths = [f"/data/{path.relative_to(data)}" for path in inputs]
    if result is not None:
        command += ["--volume", f"{result}:/result"]
    command += [image, "bash", "-eo", "pipefail", "-c", script, "local", *paths]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def completed(job: Job) -> Job:
    """The job once it is complete; fails the test with what its programs said."""
    try:
        job.wait(timeout=240)
    except JobFailed as error:
        said = [run.log_head for chunk in job.chunks(state="failed") for run in chunk.replicas]
        raise AssertionError("\n".join([str(error), *said])) from error
    return job


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
