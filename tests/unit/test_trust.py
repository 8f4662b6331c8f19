"""How often a client is checked: everything at first, less with each agreement, never less than the floor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import trust
from server.trust import FLOOR, NEW, NEW_TO_JOB, Record, Reputation, Terms

LONG = Record(agreed=1000)
KNOWN = Reputation(job=LONG, client=LONG, owner=LONG)

records = st.builds(
    Record,
    agreed=st.integers(0, 10**6),
    wrong=st.integers(0, 50),
    failed=st.integers(0, 1000),
    late=st.integers(0, 1000),
)
reputations = st.builds(
    Reputation, job=records, client=records, owner=st.none() | records, found=st.sampled_from(["", "outvoted"])
)
terms = st.builds(Terms, floor=st.floats(0, 1), trial=st.booleans())


@given(reputations, terms)
def test_no_reputation_lowers_the_chance_below_the_floor(reputation: Reputation, asked: Terms) -> None:
    assert max(FLOOR, asked.floor) <= trust.chance(reputation, asked) <= 1


@given(reputations, terms, st.sampled_from(["wrong", "failed", "late"]))
def test_no_hit_makes_a_client_checked_less(reputation: Reputation, asked: Terms, event: trust.Event) -> None:
    for part in ("job", "client", "owner"):
        record = getattr(reputation, part)
        if record is not None:
            hit = {name: getattr(reputation, name) for name in ("job", "client", "owner", "found")}
            after = Reputation(**{**hit, part: trust.noted(record, event)})
            assert trust.chance(after, asked) >= trust.chance(reputation, asked)


@given(records, terms)
def test_an_agreement_never_makes_a_client_checked_more(record: Record, asked: Terms) -> None:
    after = trust.noted(record, "agreed")
    now, then = (trust.chance(Reputation(job=each, client=each), asked) for each in (record, after))
    assert then <= now


def test_whoever_is_new_is_checked_always() -> None:
    assert trust.chance(Reputation(), Terms()) == 1
    almost = Record(agreed=NEW - 1)
    assert trust.chance(Reputation(job=LONG, client=almost), Terms()) == 1
    assert trust.chance(Reputation(job=Record(agreed=NEW_TO_JOB - 1), client=LONG), Terms()) == 1
    assert trust.chance(Reputation(job=LONG, client=LONG, owner=almost), Terms()) == 1


def test_the_chance_falls_with_agreements_to_the_floor() -> None:
    by_count = [trust.chance(Reputation(job=Record(n), client=Record(n)), Terms()) for n in (10, 20, 40, 50, 10_000)]
    assert by_count == [0.1, 0.05, 0.025, 0.02, 0.02]
    assert trust.chance(KNOWN, Terms(floor=0)) == FLOOR


def test_a_job_on_trial_and_a_reducer_are_checked_whoever_computes_them() -> None:
    assert trust.chance(KNOWN, Terms(trial=True)) == trust.chance(KNOWN, Terms(whole=True)) == 1


def test_one_wrong_result_ends_a_long_good_record_and_makes_the_next_one_harder() -> None:
    record = trust.noted(LONG, "wrong")
    assert trust.chance(Reputation(job=LONG, client=record), Terms()) == 1
    for _ in range(2 * NEW - 1):
        record = trust.noted(record, "agreed")
    assert trust.chance(Reputation(job=LONG, client=record), Terms()) == 1
    record = trust.noted(record, "agreed")
    assert trust.chance(Reputation(job=LONG, client=record), Terms()) == 1 / (2 * NEW)


@pytest.mark.parametrize(("event", "lost"), [("failed", trust.FAILED), ("late", trust.LATE)])
def test_failing_and_being_late_cost_agreements(event: trust.Event, lost: int) -> None:
    assert trust.standing(trust.noted(LONG, event)) == 1000 - lost


def test_a_trusted_client_is_neither_checked_nor_tested() -> None:
    mine = Reputation(trusted=True)
    assert (trust.chance(mine, Terms(trial=True)), trust.canary_chance(mine, Terms())) == (0, 0)


def test_canaries_come_at_a_share_of_the_floor_once_not_everything_is_checked() -> None:
    assert trust.canary_chance(Reputation(), Terms()) == 0
    assert trust.canary_chance(KNOWN, Terms(floor=0.1)) == pytest.approx(0.1 * trust.CANARY_SHARE)


def test_who_was_found_wrong_gets_no_more_of_that_job_and_at_last_of_none() -> None:
    assert "chunk 7" in trust.refusal(Reputation(job=LONG, client=LONG, found="chunk 7 was outvoted", findings=1))
    assert trust.refusal(Reputation(findings=trust.MOST_FINDINGS - 1)) == ""
    assert "admin" in trust.refusal(Reputation(findings=trust.MOST_FINDINGS))


def test_the_draw_is_the_same_each_time_and_as_frequent_as_asked_for() -> None:
    leases = [f"c1.j1.0.{number:012d}.abcd" for number in range(20_000)]
    hits = [lease for lease in leases if trust.drawn(b"s" * 32, lease, 0.02)]
    assert hits == [lease for lease in leases if trust.drawn(b"s" * 32, lease, 0.02)]
    assert 300 < len(hits) < 500
    assert hits != [lease for lease in leases if trust.drawn(b"t" * 32, lease, 0.02)]
    assert all(trust.drawn(b"s", lease, 1.0) for lease in leases)
    assert not any(trust.drawn(b"s", lease, 0.0) for lease in leases)
