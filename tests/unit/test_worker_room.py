"""Containers together never take more than the ceiling, also while they change and where one cannot be removed."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import Ceiling
from worker.limits import MIB
from worker.room import NoRoomYet, Room
from worker.tasks import Size

MOST = Ceiling(containers=4, cpus=2.0, memory=1024 * MIB)


def size(cpus: float, memory: int) -> Size:
    return Size(cpus=cpus, memory=memory * MIB, scratch=0)


def test_what_others_hold_is_waited_for() -> None:
    room = Room()
    room.take(1, size(1.5, 512), MOST)
    with pytest.raises(NoRoomYet, match="1 CPUs are not free yet of the 2"):
        room.take(2, size(1.0, 512), MOST)
    with pytest.raises(NoRoomYet, match="600 MiB are not free yet"):
        room.take(2, size(0.5, 600), MOST)
    room.take(1, size(1.0, 512), MOST)
    room.take(2, size(1.0, 512), MOST)


def test_programs_that_share_their_cpus_need_not_add_up() -> None:
    room = Room()
    room.take(1, size(2.0, 512), MOST, share_cpus=True)
    room.take(2, size(2.0, 512), MOST, share_cpus=True)


def test_less_is_always_had_also_above_a_ceiling_that_was_lowered() -> None:
    room = Room()
    room.take(1, size(2.0, 1024), MOST)
    low = Ceiling(containers=1, cpus=0.5, memory=64 * MIB)
    room.take(1, size(1.0, 512), low)
    assert room.held(1) == size(1.0, 512)


def test_what_could_not_be_removed_holds_its_room_until_it_is() -> None:
    room = Room()
    room.take(1, size(1.5, 512), MOST)
    room.leave(1, "abc")
    with pytest.raises(NoRoomYet):
        room.take(1, size(1.5, 512), MOST)
    room.leave("abc")
    room.take(1, size(1.5, 512), MOST)


def test_one_that_has_left_meanwhile_holds_nothing_by_a_change_that_comes_late() -> None:
    room = Room()
    room.take(1, size(1.5, 512), MOST)
    room.leave(1)
    room.keep(1, size(1.5, 512))
    with pytest.raises(NoRoomYet, match="just gone"):
        room.take(1, size(1.5, 512), MOST, instead=True)
    assert room.held(1) is None
    room.take(2, size(1.5, 512), MOST)


takes = st.tuples(st.integers(1, 4), st.floats(0.05, 2.5), st.integers(16, 1200), st.booleans())


@given(st.lists(takes, max_size=30))
def test_no_order_of_changes_leads_above_the_ceiling(changes: list[tuple[int, float, int, bool]]) -> None:
    room = Room()
    for key, cpus, memory, leaves in changes:
        if leaves:
            room.leave(key)
        else:
            with contextlib.suppress(NoRoomYet):
                room.take(key, size(cpus, memory), MOST)
        held = [found for key in range(1, 5) if (found := room.held(key))]
        assert sum(each.memory_limit for each in held) <= MOST.memory + 64 * 1024
        assert sum(each.cpus for each in held) <= MOST.cpus + 0.01
