"""The stated bound: its limits by hand, its coverage against liars of many kinds, the chance that a target needs."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import bound
from server.bound import Bound, Evidence


def adaptive(**fields: object) -> Evidence:
    return Evidence(basis="adaptive", **{"accepted": 10_000, "sole": [100] * 90, "chance": 0.02, **fields})  # type: ignore[arg-type]


def test_a_quorum_leaves_nothing_to_independent_liars_and_no_checks_say_nothing() -> None:
    assert bound.bound(Evidence(basis="quorum", accepted=100)) == Bound(share=0, low=0, high=0)
    assert bound.bound(Evidence(basis="none", accepted=100)).high == 1.0
    assert bound.bound(adaptive(accepted=0, sole=())).high == 0


def test_where_nobody_was_found_out_the_most_lies_are_those_that_would_have_been_missed_once_in_forty_times() -> None:
    most = bound.most_lies(0, 0.02)
    assert 0.98**most >= 0.025 > 0.98 ** (most + 1)
    found = bound.bound(adaptive())
    assert (found.share, found.low) == (0, 0) and found.high == pytest.approx(most / 10_000)


def test_every_lie_that_was_found_stands_for_others_until_the_look_back_has_shown_them() -> None:
    before = bound.bound(adaptive(found=3, known=3))
    after = bound.bound(adaptive(found=3, known=150))
    assert before.share == pytest.approx((3 / 0.02 - 3) / 10_000)
    assert after.share == 0 and after.high < before.high and before.low == 0


def test_no_more_can_be_wrong_than_rests_on_one_word() -> None:
    assert bound.bound(adaptive(sole=[20, 5])).high == pytest.approx(25 / 10_000)
    assert bound.bound(adaptive(sole=())).high == 0
    assert bound.bound(adaptive(chance=1.0)).high == 0


def test_closing_checks_narrow_it_where_many_clients_did_little_each() -> None:
    many = {"sole": [30] * 300, "accepted": 10_000, "chance": 0.001}
    closed, open_ = bound.bound(adaptive(**many, closed=True)), bound.bound(adaptive(**many))
    assert closed.high == pytest.approx(30 * 3.6889 / 10_000, rel=1e-3)
    assert closed.high < open_.high / 10
    assert bound.bound(adaptive(**many, closed=True, failed_closings=2)).high > closed.high


def test_where_every_closing_check_passed_nothing_is_estimated_to_be_wrong() -> None:
    open_, closed = bound.bound(adaptive(found=3, known=3)), bound.bound(adaptive(found=3, known=3, closed=True))
    assert open_.share > 0 == closed.share and closed.high > 0


def test_limits_beyond_the_exact_ones_go_on_where_these_end() -> None:
    exact, beyond = bound.most_lies(2000, 0.02), bound.most_lies(2001, 0.02)
    assert exact <= beyond <= exact * 1.01


@given(found=st.integers(0, 300), chance=st.floats(0.001, 1))
def test_the_limit_is_beyond_what_is_expected(found: int, chance: float) -> None:
    assert bound.most_lies(found, chance) >= found / chance - 1


def test_no_plan_expects_to_bring_through_more_than_the_worst_one() -> None:
    best = max(lies * bound.survival(lies, 0.02) for lies in range(1, 1000))
    assert best == pytest.approx(bound.worst_expected(0.02), rel=0.01) and best <= bound.worst_expected(0.02)


@pytest.mark.parametrize(("target", "chunks"), [(1e-4, 10**6), (1e-3, 50_000), (0.05, 1000)])
def test_the_chance_for_a_target_makes_the_stated_share_reach_it_where_nobody_is_found_out(
    target: float, chunks: int
) -> None:
    chance = bound.chance_for(target, chunks)
    stated = bound.bound(Evidence(basis="adaptive", accepted=chunks, sole=[chunks], chance=chance))
    assert 0 < chance < 1 and 0.9 * target < stated.high <= target * 1.0001


def test_a_target_of_less_than_one_chunk_has_everything_checked_and_none_asks_for_nothing() -> None:
    assert bound.chance_for(1e-4, 5000) == 1.0
    assert bound.chance_for(0, 5000) == 0.0 == bound.chance_for(1e-4, 0)
    assert bound.chance_for(1e-4, 10**6) > bound.chance_for(1e-4, 10**7) > bound.chance_for(1e-3, 10**7)


Plan = Callable[[random.Random, int], bool]


def always(_: random.Random, __: int) -> bool:
    return True


def seldom(draw: random.Random, _: int) -> bool:
    return draw.random() < 0.02


def once(_: random.Random, result: int) -> bool:
    return result == 70


def sleeper(_: random.Random, result: int) -> bool:
    return result >= 100


def for_a_while(_: random.Random, result: int) -> bool:
    return 20 <= result < 70  # as many lies as 1 / chance: the plan that brings most through


@pytest.mark.parametrize("plan", [always, seldom, once, sleeper, for_a_while])
@pytest.mark.parametrize("liars", [2, 20])
def test_the_stated_interval_holds_whatever_the_liars_plan(plan: Plan, liars: int) -> None:
    chance, clients, each, runs = 0.02, 40, 150, 200
    missed = 0
    for seed in range(runs):
        draw = random.Random(seed)
        sole, found, known, wrong = [], 0, 0, 0
        for client in range(clients):
            single, lies, caught = 0, 0, False
            for result in range(each):
                lie = client < liars and plan(draw, result)
                checked = draw.random() < chance
                lies += lie
                if lie and checked:
                    caught = True
                    break
                single += not checked
            if caught:
                found, known = found + 1, known + lies
            else:
                wrong += lies
                sole.append(single)
        stated = bound.bound(
            Evidence(basis="adaptive", accepted=clients * each, sole=sole, chance=chance, found=found, known=known)
        )
        missed += not stated.low <= wrong / (clients * each) <= stated.high + 1e-12
    assert missed <= 0.05 * runs, f"{missed} of {runs} runs beyond the interval"
