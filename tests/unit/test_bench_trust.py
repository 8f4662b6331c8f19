"""The simulated pools: what the rules under test do with liars, and that a seed gives the same again."""

from random import Random

import pytest

from bench import boinc, our_rules, trust
from bench.saboteurs import TRUTH, Colluder, Honest, Liar, saboteur
from bench.simulated_pool import work
from bench.trust import Scenario


def test_a_seed_gives_the_same_again() -> None:
    scenario = Scenario("liars", 0.5, 0.1, 50, 20)
    assert trust.ours(scenario, 7) == trust.ours(scenario, 7)
    assert trust.theirs(scenario, 7) == trust.theirs(scenario, 7)


@pytest.mark.parametrize("kind", ["liars", "sleepers", "copiers"])
def test_our_rules_find_saboteurs_and_accept_none_of_their_lies(kind: str) -> None:
    outcome = trust.ours(Scenario(kind, 1.0, 0.2, 300, 20), 3)
    assert (outcome.wrong, outcome.framed, outcome.unfinished) == (0, 0, 0)
    assert outcome.expelled is not None


@pytest.mark.parametrize("kind", ["silent", "late"])
def test_clients_that_do_not_return_hold_nobody_up(kind: str) -> None:
    outcome = trust.ours(Scenario(kind, 1.0, 0.4, 50, 20), 3)
    assert (outcome.wrong, outcome.unfinished, outcome.expelled) == (0, 0, None)


def test_a_pool_without_saboteurs_computes_little_twice() -> None:
    random = Random(5)
    rule = our_rules.Rule(10_000, random)
    assert work(rule, {f"c{number}": Honest() for number in range(10)}, random) == 0
    assert 1.02 < rule.second_half({f"c{number}" for number in range(10)}) < 1.06


def test_boinc_trusts_after_ten_agreements_and_takes_a_sleepers_word() -> None:
    random = Random(1)
    rule = boinc.Rule(5_000, random)
    pool = {"sleeper": Liar(random, 1.0, after=100), **{f"h{number}": Honest() for number in range(9)}}
    assert work(rule, pool, random) == 0
    assert rule.wrong(TRUTH) > 0
    assert rule.valid["h1"] > boinc.TRUSTED_FROM


def test_colluders_tell_the_same_lies_and_liars_never_do() -> None:
    first, second = Colluder(0.5, salt=1), Colluder(0.5, salt=1)
    told = [(first.answer(chunk, []), second.answer(chunk, [])) for chunk in range(100)]
    assert all(one == other for one, other in told) and {TRUTH} < {one for one, _ in told}
    random = Random(1)
    assert saboteur("liars", 1.0, random, 0).answer(1, []) != saboteur("liars", 1.0, random, 0).answer(1, [])


def test_the_rows_that_others_read_are_there() -> None:
    rows = {(found.system, found.variant, found.metric) for found in trust.rows(1, quick=True)}
    assert ("dockercomp", "10 % saboteurs", "accepted_wrong_rate") in rows
    assert ("dockercomp", "honest", "copies_per_chunk") in rows
    assert ("boinc", "10 % saboteurs", "accepted_wrong_rate") in rows
