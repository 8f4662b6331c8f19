"""When a client is asked to call again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pace import (
    AT_ONCE_S,
    BUSY_S,
    COUNTED_EVERY_S,
    DRY_S,
    IDLE_SYNCS,
    LONGEST_S,
    NO_JOB_S,
    SPREAD_SYNCS,
    Crowd,
    Situation,
    call_again_s,
    longest_s,
)


def situation(**told: bool | int) -> Situation:
    return Situation(**{"jobs": True, "watched": False, "idle": False, "moved": False, "crowd": 1, **told})  # type: ignore[arg-type]


def test_a_client_with_work_brings_its_results_when_it_likes() -> None:
    assert call_again_s(situation(crowd=1)) == BUSY_S


def test_few_idle_clients_ask_often_and_very_many_seldom() -> None:
    assert call_again_s(situation(idle=True, crowd=2)) == DRY_S
    assert call_again_s(situation(idle=True, jobs=False, crowd=2)) == NO_JOB_S
    assert call_again_s(situation(idle=True, jobs=False, crowd=8)) == 8 / IDLE_SYNCS
    assert call_again_s(situation(idle=True, crowd=40)) == BUSY_S


@pytest.mark.parametrize(("crowd", "pause"), [(1, 1), (50, 1), (100, 2), (1000, 20), (1500, 30), (100_000, 30)])
@pytest.mark.parametrize("idle", [True, False])
def test_a_large_crowd_costs_so_many_syncs_a_second(crowd: int, pause: float, idle: bool) -> None:
    expected = min(pause, max(DRY_S, crowd / IDLE_SYNCS)) if idle else pause
    assert call_again_s(situation(idle=idle, crowd=crowd)) == pytest.approx(expected)


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 10**7))
def test_no_pause_is_out_of_bounds(jobs: bool, watched: bool, idle: bool, moved: bool, crowd: int) -> None:
    now = Situation(jobs=jobs, watched=watched, idle=idle, moved=moved, crowd=crowd)
    assert AT_ONCE_S <= call_again_s(now) <= (BUSY_S if watched else longest_s(crowd)) <= LONGEST_S
    if not watched and not idle and not moved and crowd <= LONGEST_S * SPREAD_SYNCS:
        assert crowd / call_again_s(now) <= SPREAD_SYNCS + 1e-6


def test_a_watched_client_is_heard_every_second_in_any_crowd() -> None:
    assert call_again_s(situation(idle=True, jobs=False, watched=True, crowd=1000)) == BUSY_S


def test_whoever_completed_a_stage_is_asked_at_once_for_what_comes_after_it() -> None:
    assert call_again_s(situation(moved=True, crowd=1000)) == AT_ONCE_S


def test_the_crowd_is_who_called_until_it_is_counted_and_then_counted_seldom() -> None:
    crowd, asked = Crowd(), []

    def count() -> int:
        asked.append(1)
        return 700

    assert crowd.size == 0
    assert crowd.heard("a", 100.0, count) == 1
    assert crowd.heard("b", 100.5, count) == 2
    assert crowd.heard("a", 102.0, count) == 2
    assert asked == []
    assert crowd.heard("a", 100.0 + COUNTED_EVERY_S, count) == 700
    assert crowd.heard("c", 101.0 + COUNTED_EVERY_S, count) == 700 == crowd.size
    assert asked == [1]
    crowd.heard("c", 101.0 + 2 * COUNTED_EVERY_S, count)
    assert asked == [1, 1]
