"""A sweep's widths: each is run, soon, and nobody outside of the job pays for it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import JobPoints, Point
from worker.cpu_plan import LEAST
from worker.division import Computing
from worker.sweeping import RUNS, Sweeps, widths


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (0, 1, [0.5, 1]),
        (0, 2, [0.5, 1, 1.5, 2]),
        (1, 2, [1, 1.5, 2]),
        (0, 8, [1, 2, 4, 8]),
        (2, 6, [2, 4, 6]),
        (0, 272, [1, 2, 4, 8, 16, 32, 64, 128, 256, 272]),
        (0, 0.3, [0.3]),
    ],
)
def test_widths(least: float, most: float, expected: list[float]) -> None:
    assert widths(least, most) == expected


def one(slot: int, chunk: str, most: float = 4.0) -> Computing:
    return Computing(slot, "j", 0, 0.0, most, sweep=True, chunk=chunk)


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=80), st.sampled_from([1.0, 2.0, 4.0]))
def test_a_job_never_has_more_than_its_containers_fair_shares(moves: list[tuple[int, bool]], each: float) -> None:
    """Containers begin another chunk, come or leave in any order; a chunk keeps its width as long as nobody comes."""
    sweeps = Sweeps()
    chunks: dict[int, str] = {}
    swept: dict[str, float] = {}
    for number, (slot, leaves) in enumerate(moves):
        comes = slot not in chunks and not leaves
        if leaves:
            chunks.pop(slot, None)
        else:
            chunks[slot] = f"l{number}"
        found = sweeps.assigned([one(*pair) for pair in chunks.items()], dict.fromkeys(chunks, each), 4 * each)
        assert sum(found.values()) <= each * len(chunks) + 1e-9
        assert all(width > 0 for width in found.values())
        assert not found or found.keys() == chunks.keys()
        before, swept = swept, {chunks[slot]: run.width for slot, run in sweeps._runs.items() if run.width}
        if not comes and not leaves:
            assert all(swept[chunk] == width for chunk, width in before.items() if chunk in chunks.values())


def test_four_containers_side_by_side_run_every_width_that_fits() -> None:
    sweeps = Sweeps()
    ran: dict[str, float] = {}
    chunks = {slot: f"{slot}.0" for slot in range(1, 5)}
    for number in range(1, 100):
        found = sweeps.assigned([one(*pair) for pair in chunks.items()], dict.fromkeys(chunks, 1.0), 4.0)
        if not found:
            break
        for slot, width in found.items():
            if sweeps._runs[slot].width:
                assert ran.setdefault(chunks[slot], width) == width, "from its begin to its end"
        slot = number % 4 + 1
        chunks[slot] = f"{slot}.{number}"
    assert not found, "it comes to an end"
    counts = Counter(ran.values())
    assert counts[1.0] >= RUNS and counts[2.0] >= RUNS, counts


def test_nobody_keeps_less_than_any_program_gets() -> None:
    """Else it would be given that all the same, and all together more than was divided."""
    group = [one(1, "a", most=0.5), one(2, "b", most=0.5)]
    found = Sweeps().assigned(group, {1: 0.475, 2: LEAST}, 0.5)
    assert all(width >= LEAST for width in found.values()) and sum(found.values()) <= 0.475 + LEAST + 1e-9, found


def test_a_chunk_whose_width_had_to_change_is_not_swept_again() -> None:
    sweeps = Sweeps()
    assert sweeps.assigned([one(1, "a")], {1: 4.0}, 4.0) == {1: 4.0}
    assert sweeps.assigned([one(1, "a")], {1: 2.0}, 4.0) == {}, "another job's program begins"
    assert sweeps.assigned([one(1, "a")], {1: 4.0}, 4.0) == {}
    assert sweeps.assigned([one(1, "b")], {1: 4.0}, 4.0) == {1: 4.0}


def test_runs_of_the_pool_and_of_this_machine_are_not_counted_twice() -> None:
    sweeps = Sweeps()
    for number in range(2):
        assert sweeps.assigned([one(1, f"a{number}", 1.0)], {1: 1.0}, 1.0)
    sweeps.assigned([], {}, 1.0)
    sweeps.learned([JobPoints(job="j", stage=0, points=[Point(width=1.0, runs=1, wall_s=1, wall_s2=1)])])
    left = [sweeps.assigned([one(1, f"b{number}", 1.0)], {1: 1.0}, 1.0) for number in range(6)]
    assert sum(bool(found) for found in left) == 2 * RUNS - 2


def test_a_chunk_that_cannot_be_told_from_the_next_is_not_swept() -> None:
    assert Sweeps().assigned([one(1, "")], {1: 4.0}, 4.0) == {}
