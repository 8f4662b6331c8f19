"""The steps from what is to what is wanted, and the comparison that is called Verified."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.reconcile import (
    Drain,
    End,
    Freeze,
    Keep,
    Open,
    Resize,
    SlotNow,
    Thaw,
    as_planned,
    compared,
    in_force,
    kindly,
    steps,
)
from worker.tasks import Reading, Size

SMALL, LARGE = Size(cpus=0.5, memory=100, scratch=10), Size(cpus=1.0, memory=200, scratch=10)


def test_slots_are_opened_from_nothing() -> None:
    assert steps(3, False, []) == [Open(1), Open(2), Open(3)]


def test_idle_slots_go_first_and_numbers_are_reused() -> None:
    slots = [SlotNow(1), SlotNow(2, busy=True), SlotNow(3, busy=True)]
    assert steps(2, False, slots) == [Drain(1)]
    assert steps(4, False, [SlotNow(1), SlotNow(3)]) == [Open(2), Open(4)]


def test_a_draining_slot_is_kept_when_it_is_wanted_again() -> None:
    assert steps(2, False, [SlotNow(1, busy=True), SlotNow(2, busy=True, draining=True)]) == [Keep(2)]


def test_what_gives_room_comes_before_what_takes_it() -> None:
    slots = [SlotNow(1, planned=SMALL, wanted=LARGE), SlotNow(2, planned=LARGE, wanted=SMALL), SlotNow(3)]
    assert steps(2, False, slots) == [Drain(3), Resize(2, SMALL), Resize(1, LARGE)]


def test_pausing_freezes_containers_once() -> None:
    slots = [SlotNow(1, planned=SMALL, wanted=SMALL), SlotNow(2, planned=SMALL, wanted=SMALL, frozen=True), SlotNow(3)]
    assert steps(3, True, slots) == [Freeze(1)]
    assert steps(3, False, slots) == [Thaw(2)]


slots_now = st.lists(
    st.builds(SlotNow, number=st.integers(1, 12), busy=st.booleans(), draining=st.booleans()),
    max_size=8,
    unique_by=lambda slot: slot.number,
)


@given(st.integers(0, 10), slots_now)
def test_following_the_steps_gives_what_is_wanted(containers: int, slots: list[SlotNow]) -> None:
    serving = {slot.number for slot in slots if not slot.draining}
    for step in steps(containers, False, slots):
        if isinstance(step, Drain):
            serving.remove(step.number)
        elif isinstance(step, Open | Keep):
            assert step.number not in serving
            serving.add(step.number)
    assert len(serving) == containers


AS_SMALL = Reading(
    cpus_limit=0.5, memory_limit=110, memory_used=1, weight=1024, cpuset="", frozen=False, source="cgroup v1"
)


def test_verified_means_read_back_as_planned() -> None:
    assert as_planned(AS_SMALL, SMALL) and as_planned(replace(AS_SMALL, cpuset="0,1"), replace(SMALL, cpuset="0-1"))
    assert as_planned(replace(AS_SMALL, cpuset=None), SMALL), "no pins were planned, and none can be"
    for changed in (
        {"cpus_limit": 1.0},
        {"cpus_limit": None},
        {"memory_limit": 2**40},
        {"memory_limit": None},
        {"weight": 2.0},
        {"weight": None},
        {"cpuset": "0"},
    ):
        assert not as_planned(replace(AS_SMALL, **changed), SMALL)  # type: ignore[arg-type]
    assert not as_planned(Reading(), SMALL), "what cannot be read is never verified"


def test_what_cannot_be_read_is_told_from_what_is_otherwise() -> None:
    assert compared(Reading(), SMALL) == {"cpus": None, "memory": None, "priority": None}
    assert compared(AS_SMALL, SMALL) == {"cpus": True, "memory": True, "priority": True}
    unlimited = replace(AS_SMALL, cpus_limit=None, memory_limit=None)
    assert compared(unlimited, SMALL) == {"cpus": False, "memory": False, "priority": True}
    unpinned = replace(AS_SMALL, cpuset=None)
    assert compared(unpinned, replace(SMALL, cpuset="0"))["cpus"] is None


@pytest.mark.parametrize(
    ("reading", "holds"),
    [
        (Reading(cpus_limit=0.5, memory_limit=100, source="cgroup v1"), True),
        (Reading(cpus_limit=0.5, memory_limit=None, source="cgroup v1"), False),
        (Reading(cpus_limit=None, memory_limit=100, source="cgroup v2"), False),
        (Reading(cpus_limit=2.0, memory_limit=100, source="cgroup v2"), False),
        (Reading(cpus_limit=0.5, memory_limit=2**40, source="cgroup v1"), False),
        (Reading(), True),
        (Reading(source="cgroup v2"), True),  # it was killed just before
    ],
)
def test_limits_that_are_not_in_force_are_noticed_by_reading_back(reading: Reading, holds: bool) -> None:
    assert in_force(reading, Size(cpus=0.5, memory=60, scratch=40)) is holds


# --- shrinking is kind ---

BUSY = SlotNow(1, busy=True, planned=LARGE, wanted=SMALL)


def test_memory_in_use_is_kept_until_the_chunk_ends_but_cpus_follow_at_once() -> None:
    (slot,), waits = kindly([replace(BUSY, used=150)], 1000)
    assert waits == [1] and slot.wanted == Size(cpus=0.5, memory=200, scratch=10)
    (slot,), waits = kindly([replace(BUSY, used=50)], 1000)
    assert waits == [] and slot.wanted == SMALL
    (slot,), waits = kindly([replace(BUSY, used=150, busy=False)], 1000)
    assert waits == [] and slot.wanted == SMALL


@pytest.mark.parametrize(("memory", "force"), [(1000, True), (150, False)], ids=["force", "the ceiling is law"])
def test_a_container_that_may_not_keep_what_it_uses_gives_its_chunk_back(memory: int, force: bool) -> None:
    slots, waits = kindly([replace(BUSY, used=150)], memory, force=force)
    assert waits == [] and steps(1, False, slots) == [End(1)]


def test_a_job_that_fits_no_more_ends_its_chunk_first_and_its_container_then() -> None:
    slot = SlotNow(1, busy=True, planned=LARGE, wanted=replace(LARGE, cpus=0.5), too_small=True)
    slots, waits = kindly([slot], 1000)
    assert waits == [1] and steps(1, False, slots) == [Resize(1, replace(LARGE, cpus=0.5))]
    assert steps(1, False, kindly([slot], 100)[0]) == [End(1)], "it has more than the ceiling"
    assert steps(1, False, kindly([replace(slot, busy=False)], 1000)[0]) == [End(1)]


def test_those_that_go_may_be_told_to_give_their_chunks_back() -> None:
    slots = [SlotNow(1, busy=True), SlotNow(2, busy=True)]
    assert steps(1, False, slots, requeue=True) == [Drain(2, requeue=True)]
    draining = [slots[0], SlotNow(2, busy=True, draining=True)]
    assert steps(1, False, draining, requeue=True) == [Drain(2, requeue=True)], "also those that had time before"
    assert steps(1, False, draining) == []


def test_what_somebody_else_changed_is_set_again() -> None:
    assert steps(1, False, [SlotNow(1, planned=SMALL, wanted=SMALL, drifted=True)]) == [Resize(1, SMALL)]


sizes = st.builds(Size, cpus=st.floats(0.05, 8), memory=st.integers(16, 500), scratch=st.just(10))
running = st.lists(
    st.builds(
        SlotNow,
        number=st.integers(1, 12),
        busy=st.booleans(),
        planned=sizes,
        wanted=sizes,
        too_small=st.booleans(),
        used=st.integers(0, 500),
    ),
    max_size=6,
    unique_by=lambda slot: slot.number,
)


@given(running, st.integers(0, 4000), st.booleans())
def test_containers_that_wait_are_never_together_above_the_ceiling(
    slots: list[SlotNow], memory: int, force: bool
) -> None:
    after, waits = kindly(slots, memory, force=force)
    held = {slot.number: slot.planned.memory_limit for slot in slots if slot.planned and slot.number in waits}
    rest = sum(slot.wanted.memory_limit for slot in after if slot.wanted and slot.number not in held)
    if held:
        assert sum(held.values()) + rest <= memory and not force
    ended = {step.number for step in steps(len(slots), False, after) if isinstance(step, End)}
    for slot in after:
        gives_up = slot.planned is not None and slot.wanted is None
        assert gives_up == (slot.number in ended)
