"""The keeper's own judgement, without an engine: what is cancelled, and what an end of the worker does not hurry."""

from pathlib import Path
from typing import Any

import pytest

from dockercomp.protocol.messages import Allocation, Ceiling, Lease
from worker.checkpoints import Checkpoints
from worker.consent import LOCKED
from worker.division import Division
from worker.following import Wanted
from worker.gate import Gate
from worker.jobs import Jobs
from worker.keeper import Keeper
from worker.leases import Leases
from worker.leftovers import Leftovers
from worker.limits import MIB, Wishes, clip
from worker.pace import ChunkTimes
from worker.slots import Floor, Slot
from worker.tasks import Size, Task
from worker.volunteer import Control, View

MOST = Ceiling(containers=2, cpus=2.0, memory=1024 * MIB)
SIZE = Size(cpus=1.0, memory=256 * MIB, scratch=0)


class Computes:
    """A container that runs a chunk."""

    id = name = "c"
    job = "j"
    state = "running"
    current_lease = "a"

    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    nothing: Any = None
    gate = Gate(tmp_path, lambda: [], "linux/amd64", LOCKED)
    floor = Floor(Leases(), Jobs(), ChunkTimes(), nothing, MOST, Checkpoints(tmp_path), gate, Leftovers(nothing))
    return Keeper(floor, nothing, nothing, Division(2.0), lambda *_: MOST, lambda: None)


def running(keeper: Keeper) -> Slot:
    """A slot whose container has taken a chunk, but whose thread has not come to hold it."""
    floor, container = keeper._floor, Computes()
    floor.leases.add(Lease(id="a", job="j", stage=0, index=0, deadline_s=600))
    floor.leases.ready(Task(lease="a", stage=0, index=0, input=b""))
    slot = Slot(1, floor, container=container, live=True, planned=SIZE)  # type: ignore[arg-type]
    keeper._adjusting.slots.append(slot)
    return slot


def test_a_cancelled_chunk_that_a_slot_is_about_to_hold_is_not_forgotten(keeper: Keeper) -> None:
    slot = running(keeper)
    held, container = keeper._floor.leases.take("j", lambda _: True), slot.container
    assert held and isinstance(container, Computes)
    keeper.cancel(keeper._floor.leases.cancel(["a"]))
    keeper._cancel(frozenset())
    slot.held = held
    keeper._cancel(frozenset())
    assert container.cancelled == 1
    keeper._floor.leases.returned("a")
    keeper._cancel(frozenset())
    assert container.cancelled == 1, "nor asked for again once it has ended"


def test_a_worker_that_ends_lets_chunks_end_also_where_smaller_means_at_once(keeper: Keeper) -> None:
    slot = running(keeper)
    slot.held, container = keeper._floor.leases.take("j", lambda _: True), slot.container
    assert isinstance(container, Computes)
    given = Allocation(version=1, containers=2, cpus=1.0, memory=256 * MIB, shrink="requeue")
    wanted = Wanted(MOST, View(Wishes(), Control()), clip(given, MOST))
    keeper._stopping = True
    keeper._follow(wanted, given)
    assert slot.leaving and not slot.giving_back and not container.cancelled
    keeper._stopping, slot.leaving = False, False
    fewer = clip(Allocation(version=2, containers=0, cpus=1.0, memory=256 * MIB, shrink="requeue"), MOST)
    keeper._follow(wanted, fewer.allowed)
    assert slot.leaving and slot.giving_back and container.cancelled == 1
