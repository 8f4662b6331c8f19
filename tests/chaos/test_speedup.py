"""A whole installation learns how a job speeds up: real containers run its chunks at several widths, and it tells."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp import images
from dockercomp.machine import supervisor
from dockercomp.machine.home import instance_label
from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.speedup_view import in_words
from dockercomp.protocol.views import AllocationChange, SpeedupView
from tests.chaos.conftest import Installation
from tests.integration.masters import running_master
from tests.waiting import wait_until
from worker.engine import Engine

MIB = 2**20
JOB = """
name = "halves"
image = "dockercomp/python"
[input]
split = "range"
stop = 400
per_chunk = 1
[map]
command = ["sh", "work.sh", "{start}"]
[verify]
policy = "none"
[resources]
cpus = 2
memory = "64 MiB"
disk = "16 MiB"
time_limit = "60 s"
sweep = true
"""
HALF = 'python3 -c "sum(range(8_000_000))"'
WORK = f"{HALF} & {HALF}; wait; echo $1\n"


@pytest.fixture
def installation(tmp_path: Path, image_archive: Path) -> Iterator[Installation]:
    """Master and one worker that may use two CPUs."""
    with running_master(tmp_path / "h") as master:
        running = Installation(master, os.environ.get("DC_DOCKER_HOST", os.environ.get("DOCKER_HOST", "")))
        with running.client() as client:
            client.push_image("dockercomp/python", images.describe(image_archive))
        home = running.add_worker(1, DC_CPUS="2")
        try:
            yield running
        finally:
            supervisor.stop(home, "worker")
    assert Engine(instance_label(home), running.engine_host).ours() == [], "the worker left containers behind"


def test_a_sweep_gives_a_curve(installation: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "halves"
    folder.mkdir()
    (folder / "job.toml").write_text(JOB)
    (folder / "work.sh").write_text(WORK)
    with installation.client() as client:
        wait_until(lambda: any(client.clients()))
        target = next(iter(client.clients())).id
        wanted = AllocationChange(containers=2, cpus=1, memory=128 * MIB, policy="equal")
        installation.master.admin().call("client_allocate", Allocation, wanted, client=target)
        job = client.submit(folder)
        found: list[SpeedupView] = []

        def known() -> bool:
            found[:] = job.speedups()
            return bool(found) and len({max(point.width, 1.0) for point in found[0].points}) > 1

        wait_until(known, 120)
        (view,) = found
        assert view.stage == "map" and "CPU" in view.kind
        assert all(point.mean > 0 and point.cpu_s > 0 for point in view.points)
        assert in_words(view)
        assert job.speedup_as("svg").startswith(b"<svg") and len(job.speedup_as("csv").splitlines()) > 2
        job.cancel()
        assert job.speedups(), "it is kept when the job has ended"
