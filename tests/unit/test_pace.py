"""When a client is asked to call again."""

from server.pace import AT_ONCE_S, BUSY_S, DRY_S, IDLE_S, IDLE_SYNCS, NO_JOB_S, Crowd, Situation, call_again_s


def situation(**told: bool | int) -> Situation:
    return Situation(**{"jobs": True, "watched": False, "idle": False, "moved": False, "crowd": 1, **told})  # type: ignore[arg-type]


def test_a_client_with_work_brings_its_results_when_it_likes() -> None:
    assert call_again_s(situation(crowd=1)) == BUSY_S


def test_few_idle_clients_ask_often_and_very_many_seldom() -> None:
    assert call_again_s(situation(idle=True, crowd=2)) == DRY_S
    assert call_again_s(situation(idle=True, jobs=False, crowd=2)) == NO_JOB_S
    assert call_again_s(situation(idle=True, jobs=False, crowd=12)) == 12 / IDLE_SYNCS
    assert call_again_s(situation(idle=True, crowd=1000)) == BUSY_S
    assert call_again_s(situation(idle=True, jobs=False, crowd=1000)) == IDLE_S


def test_a_watched_client_is_heard_every_second_in_any_crowd() -> None:
    assert call_again_s(situation(idle=True, jobs=False, watched=True, crowd=1000)) == BUSY_S


def test_whoever_completed_a_stage_is_asked_at_once_for_what_comes_after_it() -> None:
    assert call_again_s(situation(moved=True, crowd=1000)) == AT_ONCE_S


def test_the_crowd_forgets_who_does_not_call_any_more() -> None:
    crowd = Crowd()
    assert crowd.heard("a", 100.0) == 1
    crowd.heard("b", 100.5)
    assert crowd.heard("a", 102.0) == 2
    assert crowd.heard("a", 111.0) == 1
