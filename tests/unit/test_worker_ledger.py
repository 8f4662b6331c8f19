"""The network volume of a day: counted over restarts, and never beyond its limit."""

from pathlib import Path

import pytest

from dockercomp.protocol.messages import PART_LIMIT
from worker.ledger import BUCKET, DAY, Ledger, NetworkUsedUp
from worker.master_client import MasterClient

MIB = 2**20


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_it_counts_a_day_over_restarts(tmp_path: Path) -> None:
    clock = Clock()
    first = Ledger(tmp_path, 100, clock)
    first.count(60)
    first.save()
    again = Ledger(tmp_path, 100, clock)
    again.count(30)
    assert again.used() == 90
    clock.now += DAY + BUCKET
    assert again.used() == 0


def test_what_is_much_is_written_at_once(tmp_path: Path) -> None:
    Ledger(tmp_path, 0).count(5 * MIB)
    assert Ledger(tmp_path, 0).used() == 5 * MIB


def test_a_clock_that_was_set_back_gives_nothing_away(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path, 100, clock)
    ledger.count(60)
    clock.now -= 3 * DAY
    assert ledger.used() == 60


def test_what_was_counted_by_a_clock_ahead_is_forgotten_a_day_after_it_was_set_right(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path, 100, clock)
    ledger.count(100)
    ledger.save()
    clock.now -= 9 * DAY
    resumes = ledger.resumes(50)
    assert resumes is not None and clock.now + DAY < resumes <= clock.now + DAY + BUCKET
    ledger.save()
    clock.now = resumes
    assert ledger.used() == 0 == Ledger(tmp_path, 100, clock).used()


def test_when_it_goes_on_is_when_enough_was_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    begun = clock.now
    ledger = Ledger(tmp_path, 100, clock)
    assert ledger.resumes(100) is None
    ledger.count(50)
    clock.now += 3600
    ledger.count(45)
    assert ledger.resumes(5) is None
    resumes = ledger.resumes(40)
    assert resumes is not None and begun + DAY < resumes <= begun + DAY + BUCKET
    clock.now = resumes
    assert ledger.resumes(40) is None


def test_no_part_is_asked_for_that_could_exceed_the_limit(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 5 * PART_LIMIT)
    sent = 0

    def endless():
        nonlocal sent
        while True:
            sent += 1
            ledger.count(PART_LIMIT)
            yield bytes(1)

    got = ledger.metered(endless())
    with pytest.raises(NetworkUsedUp, match="DC_NETWORK_PER_DAY"):
        for _ in got:
            pass
    assert sent == 3, "each part may have to come three times"


def test_beyond_the_overdraft_nothing_goes_whatever_the_master_asks_for(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 100)
    for _ in range(12):
        ledger.count(10)
    with pytest.raises(NetworkUsedUp, match="used up"):
        ledger.count(10)
    master = MasterClient("http://127.0.0.1:1", count=ledger.count)
    with pytest.raises(NetworkUsedUp):
        master.sync(b"")
    assert ledger.used() == 130


def test_threads_reserve_against_each_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, PART_LIMIT + 1)
    with ledger.reserved(PART_LIMIT), pytest.raises(NetworkUsedUp), ledger.reserved(PART_LIMIT):
        pass
    with ledger.reserved(PART_LIMIT):
        pass


def test_without_a_limit_it_only_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert list(ledger.counted(iter([bytes(7), bytes(5)]))) == [bytes(7), bytes(5)]
    assert ledger.used() == 12 and ledger.resumes(2**60) is None
