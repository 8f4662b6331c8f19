"""An admin's change reaches running containers on a real worker without a restart, and the value read back is shown."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dockercomp.machine.home import instance_label
from dockercomp.machine.removal import Removal
from dockercomp.protocol.errors import InvalidAllocation, PreconditionFailed
from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.views import AllocationChange, ClientView
from tests.chaos.conftest import Installation
from worker.engine import Engine

MIB = 2**20


def until(installation: Installation, client: str, met: Callable[[ClientView], bool]) -> ClientView:
    """The client as the master shows it, once it is as awaited."""
    waiting = threading.Event()
    for _ in range(300):
        view = installation.master.admin().call("client", ClientView, client=client)
        if met(view):
            return view
        waiting.wait(0.1)
    raise AssertionError(f"never came: {view}")


def test_running_containers_follow_a_changed_allocation(installation: Installation, tmp_path: Path) -> None:
    job = installation.submit(tmp_path, 200).id
    installation.follow(job, until_accepted=2)
    admin = installation.master.admin()
    with installation.client() as client:
        target = next(iter(client.clients())).id
    before = until(installation, target, lambda v: bool(v.applied and v.applied.verified and len(v.containers) == 2))
    ids = {container.id for container in before.containers}

    change = AllocationChange(containers=2, cpus=0.25, memory=100 * MIB)
    allocation = admin.call(
        "client_allocate", Allocation, change, client=target, headers={"If-Match": f'"{before.allocation.version}"'}
    )

    def follows(view: ClientView) -> bool:
        told = bool(view.applied and view.applied.version == allocation.version and view.applied.verified)
        return told and bool(view.progress and view.progress.verified_s_ago is not None)

    after = until(installation, target, follows)
    assert {container.id for container in after.containers} == ids, "a container was restarted"
    assert after.progress is not None and after.progress.author == "admin"
    states = {part.part: part.state for part in after.progress.parts}
    assert states["cpus"] == states["memory"] == "verified"
    for container in after.containers:
        assert container.cpus_limit == 0.25 == container.cpus_planned
        assert container.memory_limit == container.memory_planned == 116 * MIB
        assert container.read_from.startswith("cgroup")

    with pytest.raises(PreconditionFailed):
        admin.call("client_allocate", Allocation, change, client=target, headers={"If-Match": '"1"'})
    with pytest.raises(InvalidAllocation, match="ceiling"):
        too_much = AllocationChange(containers=50, cpus=1, memory=64 * MIB)
        admin.call("client_allocate", Allocation, too_much, client=target)

    fewer = AllocationChange(containers=1, cpus=0.5, memory=100 * MIB)
    admin.call("client_allocate", Allocation, fewer, client=target)
    until(installation, target, lambda v: len(v.containers) == 1 and v.containers[0].cpus_limit == 0.5)
    with installation.client() as client:
        client.job(job).cancel()
    until(installation, target, lambda v: not v.containers)


def test_an_uninstalled_worker_leaves_nothing_and_its_chunks_go_to_the_other(
    installation: Installation, tmp_path: Path
) -> None:
    job = installation.submit(tmp_path, 20, quorum=1).id
    installation.follow(job, until_accepted=2)
    home = installation.homes[0]
    (home / ".dockercomp").touch()
    gone = json.loads((home / "worker" / "identity.json").read_text())["client"]
    removal = Removal(home, lambda _: None)
    removal.run()
    assert removal.problems == [] and not home.exists()
    assert Engine(instance_label(home), installation.engine_host).ours() == []
    view = installation.master.admin().call("client", ClientView, client=gone)
    assert view.state == "retired" and view.containers == []
    assert installation.follow(job).state == "completed"
