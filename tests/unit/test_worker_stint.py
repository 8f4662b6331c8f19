"""A run with an end: which times can be named, and that nothing is begun that would not end in time."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import SYNC_LIMIT
from worker.pace import Load, want
from worker.stint import CAREFUL, ENDLESS, RESERVE_S, BadTime, Now, Standstill, Stint, parse_until

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 11, 22, 15, 30, tzinfo=ZONE)
ENDS = {"SLURM_JOB_END_TIME": str(int((NOW + timedelta(hours=1)).timestamp()))}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("18:00", 2.5 * 3600),
        ("15:30:05", 5),
        ("15:00", 23.5 * 3600),
        ("2026-11-22T16:30", 3600),
        ("2026-11-22T16:30:00Z", 3 * 3600),
        ("2026-11-22T16:30:00+00:00", 3 * 3600),
        ("+2h", 7200),
        ("+1h30m", 5400),
        ("+90", 90),
        ("+0.5h", 1800),
        ("-2m", 3480),
        ("-120", 3480),
    ],
)
def test_an_end_may_be_named_in_the_ways_that_batch_systems_know(text: str, seconds: float) -> None:
    assert (parse_until(text, NOW, ENDS) - NOW).total_seconds() == seconds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "is not a time"),
        ("25:00", "no clock shows"),
        ("+", "not a span"),
        ("+2 h", "not a span"),
        ("-2h", "over already"),
        ("2026-11-22T12:00", "over already"),
        ("", "is not a time"),
    ],
)
def test_what_names_no_end_is_refused_with_what_to_write(text: str, why: str) -> None:
    with pytest.raises(BadTime, match=why):
        parse_until(text, NOW, ENDS)


@pytest.mark.parametrize("text", ["+99999999999d", "-99999999999d", f"+{'9' * 400}"])
def test_a_span_that_no_calendar_holds_is_refused(text: str) -> None:
    with pytest.raises(BadTime, match="longer than ten years"):
        parse_until(text, NOW, ENDS)


def test_what_moves_slowly_is_waited_for_and_what_stands_still_is_not() -> None:
    now = 0.0
    standstill = Standstill(10.0, lambda: now)
    for left, brought in ((2, 0), (2, 100), (2, 200), (1, 200)):
        assert not standstill.holds((left, brought))
        now += 9.0
    assert not standstill.holds((1, 200))
    now += 2.0
    assert standstill.holds((1, 200))


def test_outside_of_slurm_there_is_no_end_to_count_from() -> None:
    with pytest.raises(BadTime, match="SLURM_JOB_END_TIME does not name one"):
        parse_until("-2m", NOW, {})


def idle(done: int = 0, waiting: int = 0, running: int = 0, *expected: float | None) -> Now:
    return Now(done, waiting, running, expected)


@given(
    st.floats(1, 1e5),
    st.floats(0, 1e5),
    st.lists(st.one_of(st.none(), st.floats(0.001, 1e4)), max_size=4),
    st.integers(0, 3),
)
def test_nothing_is_begun_that_is_expected_to_end_too_late(
    length: float, gone: float, expected: list[float | None], running: int
) -> None:
    stint = Stint(ends=length, clock=lambda: gone)
    now = idle(0, 0, running, *expected)
    for each in expected:
        if stint.fits(each):
            assert gone + (each or 0.0) < length
    if stint.room(now):
        assert gone < length and not stint.over(now)
    if gone >= length:
        assert stint.over(now)
    if not running and not stint.room(now):
        assert stint.over(now), "it would wait for nothing"


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 20), st.integers(0, 20))
def test_no_more_chunks_are_asked_for_than_are_to_be_done(most: int, done: int, waiting: int, running: int) -> None:
    stint = Stint(chunks=most)
    now = idle(done, waiting, running)
    load = Load(slots=16, waiting=waiting, running=running, chunk_s=0.001, most=stint.room(now))
    assert want(load) + done + waiting + running <= max(most, done + waiting + running)
    assert bool(stint.over(now)) == (done >= most)


def test_the_reserve_is_short_in_a_short_stint() -> None:
    assert Stint(ends=1000.0, clock=lambda: 0.0).left == 1000 - RESERVE_S
    assert Stint(ends=8.0, clock=lambda: 0.0).left == 6.0
    assert not Stint(ends=100.0, clock=lambda: 0.0).fits(80 / CAREFUL)


def test_a_worker_without_an_end_goes_on() -> None:
    assert not ENDLESS.bounded and ENDLESS.room(idle()) == SYNC_LIMIT and ENDLESS.over(idle(10**9)) == ""
