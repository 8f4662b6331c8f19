"""Hours of a week, and the one rule of whether work may go on."""

from datetime import datetime

import pytest

from worker.limits import Wishes
from worker.permission import Surroundings, Verdict, judge
from worker.schedule import BadHours, parse

MONDAY = datetime(2026, 11, 16)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Day 0 is a Monday."""
    return MONDAY.replace(day=16 + day, hour=hour, minute=minute)


NIGHTS = "mon-fri 18:00-08:00,sat-sun"


@pytest.mark.parametrize(
    ("text", "moment", "is_open"),
    [
        (NIGHTS, at(0, 17, 59), False),
        (NIGHTS, at(0, 18), True),
        (NIGHTS, at(1, 7, 59), True),
        (NIGHTS, at(1, 8), False),
        (NIGHTS, at(0, 7), False),
        (NIGHTS, at(5, 12), True),
        (NIGHTS, at(6, 23, 59), True),
        ("fri-mon 10:00-11:00", at(6, 10, 30), True),
        ("fri-mon 10:00-11:00", at(2, 10, 30), False),
        ("sun 22:00-02:00", at(0, 1), True),
        ("22:00-02:00", at(3, 1), True),
        ("wed", at(2, 0), True),
        ("wed 00:00-24:00", at(2, 23, 59), True),
        ("wed 20:00-24:00", at(3, 0), False),
    ],
)
def test_hours(text: str, moment: datetime, is_open: bool) -> None:
    assert parse(text).open_at(moment) is is_open


def test_when_it_opens_next() -> None:
    assert parse(NIGHTS).opens(at(1, 8, 30)) == at(1, 18)
    assert parse("mon 10:00-11:00").opens(at(0, 12)) == at(0, 10).replace(day=23)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" ", "no hours at all"),
        (",", "no hours at all"),
        ("mon,,tue", "not of the form"),
        ("18:00-18:00", "ends when it begins"),
        ("mon 25:00-26:00", "no clock shows"),
        ("mon 10:61-12:00", "no clock shows"),
        ("monday", "not a day"),
        ("mon-xyz", "not a day"),
        ("mon 8-10", "not of the form"),
        ("mon 08:00", "not a span of time"),
        ("mon tue 08:00-09:00", "not of the form"),
    ],
)
def test_hours_that_cannot_be_followed_are_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadHours, match=why):
        parse(text)


NOON = at(2, 12)


@pytest.mark.parametrize(
    ("wishes", "around", "why", "freeze"),
    [
        (Wishes(), Surroundings(now=NOON), "", False),
        (Wishes(hours=parse(NIGHTS)), Surroundings(now=NOON), "goes on at 18:00", True),
        (Wishes(hours=parse("mon 10:00-11:00")), Surroundings(now=NOON), "goes on on Monday at 10:00", True),
        (Wishes(hours=parse("wed")), Surroundings(now=NOON), "", False),
        (Wishes(on_battery=False), Surroundings(now=NOON, on_battery=True), "On battery", True),
        (Wishes(), Surroundings(now=NOON, on_battery=True), "", False),
        (Wishes(idle_s=300), Surroundings(now=NOON, unused_s=299, used_by="a terminal"), "in use (a terminal)", True),
        (Wishes(idle_s=300), Surroundings(now=NOON, unused_s=300), "", False),
        (Wishes(), Surroundings(now=NOON, network_resumes=at(3, 9)), "goes on on Thursday at 09:00", False),
        (Wishes(), Surroundings(now=NOON, disk_full="DC_DISK is full"), "DC_DISK is full", False),
        (Wishes(), Surroundings(now=NOON, limits_hold=False), "DC_UNLIMITED=warn", True),
        (Wishes(unlimited="warn"), Surroundings(now=NOON, limits_hold=False), "", False),
        (
            Wishes(temperature=80),
            Surroundings(now=NOON, celsius=84.6, too_hot=True),
            "85 °C: goes on below 75 °C",
            True,
        ),
        (Wishes(temperature=80), Surroundings(now=NOON, celsius=79), "", False),
        (Wishes(hook="/h"), Surroundings(now=NOON, hook="a call is going on"), "hook pauses it: a call is going", True),
    ],
)
def test_one_rule_says_whether_work_may_go_on_and_why_not(
    wishes: Wishes, around: Surroundings, why: str, freeze: bool
) -> None:
    verdict = judge(wishes, around)
    assert why in verdict.why and bool(verdict.why) == bool(why)
    assert verdict.freeze is freeze
    assert verdict == Verdict() or verdict.why.endswith((".", "limits."))
