"""The ceiling is law: defaults from the machine, clipping, and what a container gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import Allocation, Ceiling
from dockercomp.protocol.orders import ResourcesSpec
from worker.limits import MIB, SMALLEST_CPUS, SMALLEST_MEMORY, TooSmall, Wishes, ceiling, clip, container_size

GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("cores", "memory", "containers", "cpus", "lent"),
    [
        (8, 16 * GIB, 7, 7.0, 8 * GIB),
        (2, 4 * GIB, 2, 1.5, 2 * GIB),
        (8, 2 * GIB, 2, 7.0, GIB),
        (1, GIB // 2, 1, 0.75, GIB // 8),
        (64, 512 * GIB, 63, 63.0, 256 * GIB),
    ],
)
def test_default_count_and_size_follow_the_machine_and_leave_some_of_it(
    cores: int, memory: int, containers: int, cpus: float, lent: int
) -> None:
    assert ceiling(Wishes(), cores, memory) == Ceiling(containers=containers, cpus=cpus, memory=lent)


def test_the_volunteers_wishes_win_but_no_machine_gives_more_than_it_has() -> None:
    assert ceiling(Wishes(containers=3, cpus=1.5, memory=GIB), 8, 16 * GIB) == Ceiling(
        containers=3, cpus=1.5, memory=GIB
    )
    assert ceiling(Wishes(cpus=99, memory=99 * GIB), 2, 4 * GIB) == Ceiling(containers=2, cpus=2.0, memory=4 * GIB)


def test_no_more_containers_than_can_each_have_the_least() -> None:
    assert ceiling(Wishes(containers=100), 1, GIB).containers == 15
    assert ceiling(Wishes(containers=100, cpus=8), 8, 512 * MIB).containers == 8


def test_an_allocation_within_the_ceiling_is_taken_as_it_is() -> None:
    wanted = Allocation(version=3, containers=2, cpus=1.0, memory=GIB)
    found = clip(wanted, Ceiling(containers=2, cpus=2.0, memory=2 * GIB))
    assert (found.allowed, found.note) == (wanted, "")


def test_a_clipped_allocation_says_what_was_cut() -> None:
    wanted = Allocation(version=3, containers=4, cpus=2.0, memory=2 * GIB)
    found = clip(wanted, Ceiling(containers=2, cpus=1.0, memory=GIB, disk=GIB))
    assert found.allowed == Allocation(version=3, containers=2, cpus=0.5, memory=512 * MIB, disk=GIB)
    assert found.note == "The volunteer's ceiling allows 2 of 4 containers, 0.5 of 2 CPUs each, 512 of 2048 MiB each."
    assert found.why("cpus") == "The volunteer's ceiling allows 0.5 of 2 CPUs each." and not found.why("priority")


def test_everything_else_of_an_allocation_is_kept() -> None:
    wanted = Allocation(
        version=3, containers=1, cpus=1, memory=GIB, jobs=["a*"], priority="high", policy="curve", shrink="requeue"
    )
    assert clip(wanted, Ceiling(containers=1, cpus=1, memory=GIB)).allowed == wanted


def test_the_smaller_disk_counts_and_none_is_no_limit() -> None:
    def disk(wanted: int, most: int) -> int:
        allocation = Allocation(version=1, containers=1, cpus=1, memory=GIB, disk=wanted)
        return clip(allocation, Ceiling(containers=1, cpus=1, memory=GIB, disk=most)).allowed.disk

    assert [disk(0, 0), disk(5, 0), disk(0, 7), disk(5, 7), disk(9, 7)] == [0, 5, 7, 5, 7]


def test_nothing_asked_for_becomes_the_least_that_a_container_needs_and_that_is_said() -> None:
    found = clip(Allocation(version=1, containers=1, cpus=0, memory=0), Ceiling(containers=1, cpus=1, memory=GIB))
    assert (found.allowed.cpus, found.allowed.memory) == (SMALLEST_CPUS, SMALLEST_MEMORY)
    assert found.why("cpus") == "A container gets at least 0.05 CPUs." and "16 MiB" in found.why("memory")


def test_there_are_no_more_containers_than_can_have_the_least_that_one_needs() -> None:
    wanted = Allocation(version=1, containers=64, cpus=1, memory=GIB)
    assert clip(wanted, Ceiling(containers=64, cpus=1, memory=GIB)).allowed.containers == 20
    assert clip(wanted, Ceiling(containers=64, cpus=9, memory=64 * MIB)).allowed.containers == 4


def test_a_third_rounded_up_by_the_master_is_not_worth_a_sentence() -> None:
    wanted = Allocation(version=1, containers=3, cpus=0.667, memory=GIB)
    assert clip(wanted, Ceiling(containers=3, cpus=2.0, memory=4 * GIB)).note == ""


sizes = st.integers(min_value=SMALLEST_MEMORY, max_value=64 * GIB)
cpus = st.floats(min_value=SMALLEST_CPUS, max_value=128)


@given(st.integers(0, 64), cpus, sizes, st.integers(1, 64), cpus, sizes)
def test_no_allocation_exceeds_the_ceiling(
    containers: int, each: float, memory: int, most: int, all_cpus: float, all_memory: int
) -> None:
    limit = Ceiling(containers=most, cpus=all_cpus, memory=all_memory)
    allowed = clip(Allocation(version=1, containers=containers, cpus=each, memory=memory), limit).allowed
    assert allowed.containers <= most
    assert allowed.containers * allowed.cpus <= all_cpus * (1 + 1e-6)
    assert allowed.containers * allowed.memory <= all_memory
    assert allowed.cpus >= SMALLEST_CPUS and allowed.memory >= SMALLEST_MEMORY


def test_scratch_is_memory_and_counts_against_the_ceiling() -> None:
    allowed = Allocation(version=1, containers=2, cpus=1.0, memory=512 * MIB)
    need = ResourcesSpec(memory=256 * MIB, disk=64 * MIB)
    tight = container_size(allowed, Ceiling(containers=2, cpus=2, memory=GIB), need)
    assert (tight.memory, tight.scratch, tight.memory_limit) == (448 * MIB, 64 * MIB, 512 * MIB)
    roomy = container_size(allowed, Ceiling(containers=2, cpus=2, memory=2 * GIB), need)
    assert (roomy.memory, roomy.memory_limit) == (512 * MIB, 576 * MIB)


def test_a_job_that_does_not_fit_says_so() -> None:
    allowed = Allocation(version=1, containers=2, cpus=1.0, memory=512 * MIB)
    with pytest.raises(TooSmall, match="needs 600 MiB of memory and 64 MiB of scratch"):
        container_size(allowed, Ceiling(containers=2, cpus=2, memory=GIB), ResourcesSpec(memory=600 * MIB))
