"""A slider on the dashboard, a real worker, and a real container that computes on while its limits follow."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dockercomp import images
from dockercomp.machine import supervisor
from dockercomp.machine.home import instance_label
from dockercomp.protocol.orders import ProgramSpec, ResourcesSpec
from dockercomp.protocol.views import ClientPage, ClientView
from tests.browser.conftest import Visitor
from tests.chaos.conftest import Installation
from tests.integration.docker_parts import engine_for, image_id
from tests.integration.masters import RunningMaster
from tests.waiting import wait_until
from worker.engine import Engine

ENGINE_HOST = os.environ.get("DC_DOCKER_HOST", os.environ.get("DOCKER_HOST", ""))
IMAGE = "dockercomp-test/for-real"
MIB = 2**20


@pytest.fixture
def home(master: RunningMaster, tmp_path: Path) -> Iterator[Path]:
    """The DC_HOME of a real worker of the master's, with one container of one CPU."""
    image_id(engine_for(tmp_path))
    running = Installation(master, ENGINE_HOST)
    with running.client() as client, images.saved("dockercomp/python") as archive:
        client.push_image(IMAGE, archive)
    found = running.add_worker(1, DC_NAME="real-pc", DC_CONTAINERS="1", DC_CPUS="1", DC_MEMORY="512MiB")
    yield found
    supervisor.stop(found, "worker")
    assert Engine(instance_label(found), ENGINE_HOST).ours() == [], "the worker left containers behind"


def test_a_moved_slider_is_in_force_in_the_same_container_and_costs_no_chunk(
    as_person: Callable[..., Visitor], job: Callable[..., str], master: RunningMaster, home: Path
) -> None:
    job(
        image=IMAGE,
        quorum=1,
        chunks=100_000,
        map=ProgramSpec(command=["sh", "-c", "sleep 0.2; echo {start}"]),
        resources=ResourcesSpec(memory=64 * MIB, disk=16 * MIB),
    )
    admin = master.admin()

    def client() -> ClientView | None:
        clients = admin.call("clients", ClientPage).clients
        computing = (each for each in clients if any(one.state == "running" for one in each.containers))
        return next((each for each in computing if each.name == "real-pc"), None)

    wait_until(lambda: client() is not None)
    before = client()
    assert before is not None
    (container,) = before.containers
    page = as_person().open(f"/clients/{before.id}")
    page.get_by_role("slider", name="CPUs per container").fill("0.5")
    verified = page.locator(".way li").filter(has_text="Verified: done")
    expect(page.get_by_role("status").filter(has_text="1 container, 0.5 CPUs and")).to_be_visible()
    expect(verified).to_be_visible()
    page.get_by_role("spinbutton", name="Memory per container").fill("128")
    page.get_by_role("spinbutton", name="Memory per container").blur()
    expect(page.get_by_role("status").filter(has_text="0.5 CPUs and 128 MiB")).to_be_visible()
    expect(verified).to_be_visible()

    now = admin.call("client", ClientView, client=before.id)
    assert [(each.id, each.cpus_limit) for each in now.containers] == [(container.id, 0.5)]
    assert now.containers[0].memory_limit == 128 * MIB + 16 * MIB
    assert now.results_failed == 0
