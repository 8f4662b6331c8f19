"""What the keeper does to a slot's container, on a real engine: also what that refuses, and what it fails at."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dockercomp.protocol.messages import Lease
from tests.integration.docker_parts import MIB, Hearing, Start, image_id, sh, task
from tests.integration.test_slots import floor_of
from tests.waiting import wait_until
from worker.adjusting import Adjusting
from worker.engine import Engine, EngineError
from worker.leftovers import Leftovers
from worker.reconcile import Freeze, Resize, SlotNow, Thaw, as_planned
from worker.room import NoRoomYet
from worker.slots import Slot
from worker.tasks import Outcome, Size

SIZE = Size(cpus=0.5, memory=64 * MIB, scratch=16 * MIB)


def adjusting(engine: Engine, home: Path, start: Start, now: list[float]) -> tuple[Adjusting, Slot]:
    """A slot whose container runs, without a thread of its own."""
    floor = floor_of(engine, home)
    slot = Slot(1, floor, container=start(sh("cat"), size=SIZE), live=True, planned=SIZE)
    floor.room.take(1, SIZE, floor.ceiling)
    made = Adjusting(floor, clock=lambda: now[0])
    made.slots.append(slot)
    return made, slot


def test_what_the_engine_refuses_is_told_in_its_words_and_asked_for_again_later(
    engine: Engine, home: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    made, slot = adjusting(engine, home, start, now)
    container = slot.container
    assert container is not None
    impossible = Resize(1, replace(SIZE, cpus=0.25, cpuset="77"))
    made.do(impossible)
    (words,) = made.refusals("size")
    assert container.name in words and "Requested CPUs are not available" in words
    assert slot.planned == SIZE and as_planned(container.reading(), SIZE), "nothing has changed"
    asked = list[Size]()
    monkeypatch.setattr(container, "resize", asked.append)
    made.do(impossible)
    assert not asked, "not at once again"
    now[0] += 1.0
    made.do(impossible)
    assert asked == [impossible.size] and made.refusals("size") == []


def test_another_wish_is_tried_at_once_and_all_limits_are_set_and_read(
    engine: Engine, home: Path, start: Start
) -> None:
    made, slot = adjusting(engine, home, start, [100.0])
    container = slot.container
    assert container is not None
    made.do(Resize(1, replace(SIZE, cpuset="77")))
    assert made.refusals("size")
    pinned = Size(cpus=0.75, memory=100 * MIB, scratch=16 * MIB, weight=256, cpuset="1", width=2, timed_as=0.75)
    made.do(Resize(1, pinned))
    assert made.refusals("size") == [] and slot.planned == pinned and as_planned(container.reading(), pinned)
    made.do(Resize(1, SIZE))
    assert as_planned(container.reading(), SIZE) and container.reading().cpuset == "", "not pinned any more"
    made.do(Freeze(1))
    assert (slot.frozen, container.reading().frozen) == (True, True)
    made.do(Thaw(1))
    assert (slot.frozen, container.reading().frozen) == (False, False)


def test_more_than_the_ceiling_is_not_asked_for(engine: Engine, home: Path, start: Start) -> None:
    made, slot = adjusting(engine, home, start, [100.0])
    slot.floor.room.take(2, Size(cpus=0.5, memory=400 * MIB, scratch=0), slot.floor.ceiling)
    made.do(Resize(1, replace(SIZE, memory=200 * MIB)))
    assert slot.planned == SIZE and "not free yet" in made.waits_for_room[1]
    slot.floor.room.leave(2)
    made.do(Resize(1, replace(SIZE, memory=200 * MIB)))
    assert slot.planned == replace(SIZE, memory=200 * MIB) and not made.waits_for_room


def test_a_pause_that_was_refused_is_forgotten_once_it_is_not_wanted(engine: Engine, home: Path, start: Start) -> None:
    made, slot = adjusting(engine, home, start, [100.0])
    slot.frozen = True  # somebody else let it go on since
    made.do(Thaw(1))
    assert "not paused" in made.refusals("pause")[0]
    made.settled([SlotNow(1, planned=SIZE, wanted=SIZE, frozen=True)], frozen=False)
    assert made.refusals("pause")
    made.settled([SlotNow(1, planned=SIZE, wanted=SIZE)], frozen=False)
    assert not made.refusals("pause")


def test_a_chunk_that_comes_into_a_frozen_container_can_be_taken_back(start: Start) -> None:
    container, done = start(sh("cat"), size=SIZE), list[Outcome]()
    container.pause()
    thread = threading.Thread(target=lambda: done.append(container.run(task())), daemon=True)
    thread.start()
    wait_until(lambda: container.current_lease != "")
    wait_until(lambda: container.state == "paused")
    container.cancel()
    thread.join(20)
    assert [outcome.failure.reason for outcome in done if outcome.failure] == ["refused"] and done[0].container_dead


class FailsOnce(Engine):
    """An engine whose first removal fails."""

    failed = False

    def remove(self, container: str) -> None:
        if not self.failed:
            self.failed = True
            raise EngineError("could not remove a container: driver failed to remove root filesystem: device is busy")
        super().remove(container)


def test_a_container_whose_removal_failed_is_not_forgotten_and_holds_its_room(engine: Engine, home: Path) -> None:
    failing, now = FailsOnce(engine.instance, engine.host), [100.0]
    floor, order = floor_of(failing, home), sh("cat")
    floor.leftovers = Leftovers(failing.remove, clock=lambda: now[0])
    floor.leftovers.gone = floor.room.leave
    floor.jobs.add(order)
    floor.jobs.prepared(order.job, image_id(engine), None)
    floor.leases.add(Lease(id="a", job=order.job, stage=0, index=0, deadline_s=600))
    floor.leases.ready(task(lease="a"))
    slot = Slot(1, floor)
    slot.thread.start()
    wait_until(lambda: [report.outcome for report in floor.leases.parcels()] == ["done"])
    slot.leaving = True
    floor.leases.wake()
    slot.thread.join(20)
    (left,) = engine.ours()
    assert "device is busy" in floor.leftovers.sentences()[0] and left[:12] in floor.leftovers.sentences()[0]
    assert floor.room.held(left) is not None
    with pytest.raises(NoRoomYet):
        floor.room.take(1, Size(cpus=1, memory=512 * MIB, scratch=0), floor.ceiling)
    now[0] += 10
    floor.leftovers.again()
    assert engine.ours() == [] and floor.leftovers.sentences() == [] and floor.room.held(left) is None
    failing.close()


def test_a_chunk_whose_width_changed_tells_nothing_of_it(start: Start) -> None:
    container = start(sh("echo begun >&2; cat"), size=replace(SIZE, timed_as=0.5))
    assert container.run(task(b"x")).width == 0.5

    def narrower() -> None:
        container.resize(replace(SIZE, cpus=0.25, timed_as=0.25))

    assert container.run(task(b"x"), Hearing(narrower)).width == 0
    assert container.run(task(b"x")).width == 0.25


def test_a_chunk_that_loses_memory_while_it_runs_is_not_to_blame(start: Start) -> None:
    lowered = f"until grep -q 'memory {SIZE.memory}' $DC_ALLOCATION; do sleep 0.05; done"
    eats = f"echo begun >&2; {lowered}; exec python3 -c 'print(len(bytearray(100 << 20)))'"
    container = start(sh(eats), size=replace(SIZE, memory=200 * MIB))
    done = container.run(task(), Hearing(lambda: container.resize(SIZE)))
    assert done.failure is not None and done.failure.reason == "refused"
    assert "its memory was lowered while it ran" in done.failure.message
    again = container.run(task()) if not done.container_dead else start(sh(eats), size=SIZE).run(task())
    assert again.failure is not None and again.failure.reason == "memory", "it was told what it has"
