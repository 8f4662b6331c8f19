"""The steps from what is to what is wanted, and the comparison that is called Verified."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import ContainerReport
from worker.reconcile import Drain, Freeze, Keep, Open, Resize, SlotNow, Thaw, as_planned, in_force, steps
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


def test_verified_means_read_back_as_planned() -> None:
    report = ContainerReport(
        name="n",
        id="i",
        job="j",
        state="idle",
        image="i",
        cpus_planned=0.5,
        cpus_limit=0.5,
        memory_planned=8192,
        memory_limit=8192,
    )
    assert as_planned(report)
    for field, value in (("cpus_limit", 1.0), ("memory_limit", 4096), ("cpus_limit", None), ("memory_limit", None)):
        changed = {name: getattr(report, name) for name in report.__struct_fields__} | {field: value}
        assert not as_planned(ContainerReport(**changed))


@pytest.mark.parametrize(
    ("reading", "holds"),
    [
        (Reading(cpus_limit=0.5, memory_limit=100, source="cgroup v1"), True),
        (Reading(cpus_limit=0.5, memory_limit=None, source="cgroup v1"), False),
        (Reading(cpus_limit=None, memory_limit=100, source="cgroup v2"), False),
        (Reading(cpus_limit=2.0, memory_limit=100, source="cgroup v2"), False),
        (Reading(cpus_limit=0.5, memory_limit=2**40, source="cgroup v1"), False),
        (Reading(), True),
    ],
)
def test_limits_that_are_not_in_force_are_noticed_by_reading_back(reading: Reading, holds: bool) -> None:
    assert in_force(reading, Size(cpus=0.5, memory=60, scratch=40)) is holds
