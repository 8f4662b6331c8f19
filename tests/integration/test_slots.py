"""A slot on a real engine: what becomes of a job whose image is gone."""

from pathlib import Path

from dockercomp.protocol.messages import Allocation, Ceiling, Lease
from tests.integration.docker_parts import MIB, sh, task
from tests.waiting import wait_until
from worker.checkpoints import Checkpoints
from worker.consent import LOCKED
from worker.container import WarmContainer
from worker.engine import Engine
from worker.gate import Gate
from worker.jobs import Job, Jobs
from worker.leases import Leases
from worker.leftovers import Leftovers
from worker.pace import ChunkTimes
from worker.slots import Floor, Slot
from worker.tasks import Size


def floor_of(engine: Engine, home: Path) -> Floor:
    """Makes containers of the image that its job names."""

    def make(job: Job, slot: int, size: Size) -> WarmContainer:
        return WarmContainer(engine, job.order, job.image_id, job.program, slot, size, home)

    ceiling = Ceiling(containers=1, cpus=1.0, memory=512 * MIB)
    gate = Gate(home, lambda: [], "linux/amd64", LOCKED)
    floor = Floor(Leases(), Jobs(), ChunkTimes(), make, ceiling, Checkpoints(home), gate, Leftovers(engine.remove))
    floor.allowed = Allocation(version=1, containers=1, cpus=1.0, memory=512 * MIB)
    return floor


def test_a_job_whose_image_was_removed_is_let_go_so_that_its_order_comes_again(engine: Engine, home: Path) -> None:
    floor, order = floor_of(engine, home), sh("cat")
    floor.jobs.add(order)
    floor.jobs.prepared(order.job, "sha256:" + "0" * 64, None)
    for name in ("a", "b"):
        floor.leases.add(Lease(id=name, job=order.job, stage=0, index=0, deadline_s=600))
        floor.leases.ready(task(lease=name))
    slot = Slot(1, floor)
    slot.thread.start()
    wait_until(lambda: len(floor.leases.parcels()) == 2)
    slot.leaving = True
    floor.leases.wake()
    slot.thread.join(20)
    assert {(report.lease, report.outcome) for report in floor.leases.parcels()} == {
        ("a", "returned"),
        ("b", "returned"),
    }
    assert floor.jobs.known() == [], "the master sends an order only for a job that the worker does not know"
    assert floor.jobs.why_refused(order.job) == "its image was removed from the engine"
    assert not slot.trouble and slot.container is None
