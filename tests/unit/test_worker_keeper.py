"""The keeper's own judgement, without an engine: what is cancelled, and what an end of the worker does not hurry."""

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, Lease, PartReport
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder
from worker.checkpoints import Checkpoints
from worker.consent import LOCKED
from worker.division import Division
from worker.engine import EngineError
from worker.following import Wanted
from worker.gate import Gate
from worker.jobs import Job, Jobs
from worker.keeper import Keeper
from worker.leases import Leases
from worker.leftovers import Leftovers
from worker.limits import MIB, Wishes, clip
from worker.pace import ChunkTimes
from worker.picture import Picture
from worker.slots import Floor, Slot
from worker.tasks import Size, Task
from worker.volunteer import Control, View

MOST = Ceiling(containers=2, cpus=2.0, memory=1024 * MIB)
SIZE = Size(cpus=1.0, memory=256 * MIB, scratch=0)

ORDER = JobOrder(
    version=1,
    job="j",
    name="j",
    image=ImagePin(name="i", config_digest="sha256:" + "0" * 64, platform="linux/amd64"),
    program="",
    split="lines",
    stages=[StageOrder(program=ProgramSpec(command=["cat"]))],
    resources=ResourcesSpec(time_limit=60),
)


class Computes:
    """A container that runs a chunk."""

    id = name = "c"
    job = "j"
    state = "running"
    current_lease = "a"

    def __init__(self) -> None:
        self.cancelled = 0
        self.paused, self.asked = False, list[Size]()

    def cancel(self) -> None:
        self.cancelled += 1

    def pause(self) -> None:
        self.paused = True

    def resize(self, size: Size) -> None:
        """As an engine that refuses all."""
        self.asked.append(size)
        raise EngineError("no")


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


def test_what_runs_of_a_job_that_is_refused_by_now_is_paused_like_the_others(keeper: Keeper) -> None:
    slot = running(keeper)
    slot.held, container = keeper._floor.leases.take("j", lambda _: True), slot.container
    assert isinstance(container, Computes)
    slot.job = Job(ORDER)
    keeper._floor.jobs.refuse("j", "its result cannot be kept here")
    given = Allocation(version=1, containers=2, cpus=1.0, memory=256 * MIB, paused=True)
    keeper._follow(Wanted(MOST, View(Wishes(), Control()), clip(given, MOST), frozen=True), given)
    assert container.paused and slot.frozen and not container.cancelled


def test_a_container_that_the_engine_does_not_bring_below_a_lowered_ceiling_ends(keeper: Keeper) -> None:
    slot, now = running(keeper), [100.0]
    slot.held, container = keeper._floor.leases.take("j", lambda _: True), slot.container
    assert isinstance(container, Computes)
    slot.job = Job(ORDER)
    keeper._adjusting._clock = lambda: now[0]
    floor, given = keeper._floor, Allocation(version=1, containers=1, cpus=1.0, memory=256 * MIB)
    floor.room.take(1, SIZE, MOST)

    def follow(most: Ceiling) -> None:
        clipped = clip(given, most)
        floor.ceiling, floor.allowed = most, clipped.allowed
        keeper._follow(Wanted(most, View(Wishes(), Control()), clipped), clipped.allowed)
        now[0] += 60

    for _ in range(1100):  # hours of them
        follow(MOST)
    assert not container.cancelled, "what the admin wants may be refused for ever"
    for _ in range(3):
        follow(Ceiling(containers=1, cpus=0.5, memory=1024 * MIB))
    assert not container.cancelled and container.asked[-1].cpus == 0.5
    follow(Ceiling(containers=1, cpus=0.5, memory=1024 * MIB))
    assert container.cancelled == 1 and slot.gone


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


def test_where_looking_fails_nothing_reads_verified_any_more_and_it_is_said(tmp_path: Path) -> None:
    told, nothing = threading.Event(), cast(Any, None)
    gate = Gate(tmp_path, lambda: [], "linux/amd64", LOCKED)
    floor = Floor(Leases(), Jobs(), ChunkTimes(), nothing, MOST, Checkpoints(tmp_path), gate, Leftovers(nothing))
    broken = Keeper(floor, nothing, nothing, Division(2.0), lambda *_: MOST, told.set)  # there is nobody to look at
    part = PartReport(part="cpus", state="verified")
    applied = AppliedAllocation(version=1, containers=1, cpus=1, memory=1, verified=True, parts=[part])
    broken.picture = Picture(ceiling=MOST, applied=applied, able=2)
    broken.start()
    assert told.wait(20)
    found = broken.picture
    assert found.applied and not found.applied.verified and found.applied.parts[0].state == "failed"
    assert "AttributeError" in found.trouble and found.able == 0
    broken.stop(0, threading.Event())
