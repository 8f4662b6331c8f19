"""Rates hold across the processes of a master, and say when to come again."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from dockercomp.protocol.errors import Busy
from dockercomp.protocol.routes import BY_NAME, PUBLIC_LIMIT, ROUTES
from server import rates, wiring
from server.app import create_app
from server.arrival import WHOLE
from server.rates import RATES, Limits, Pace, block_of
from server.settings import Settings
from server.store import Store
from server.store.blobs import DirectoryBlobs
from server.store.connection import connect
from tests.waiting import wait_until


@pytest.fixture
def other(settings: Settings, store: Store) -> Iterator[Store]:
    """The same store, as another process has it."""
    with Store(connect(settings.mongo_uri, settings.database), DirectoryBlobs(settings.home / "blobs")) as found:
        yield found


def test_all_processes_count_in_one_window(store: Store, other: Store) -> None:
    assert [each.rates.hit("a", 60)[0] for each in (store, other, store)] == [1, 2, 3]
    assert other.rates.look("a")[0] == 3
    assert store.rates.hit("b", 60)[0] == 1


def test_hits_at_the_same_time_are_all_counted(store: Store, other: Store) -> None:
    def hit(each: Store) -> None:
        for _ in range(50):
            each.rates.hit("a", 60)

    threads = [threading.Thread(target=hit, args=(each,)) for each in (store, other) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.rates.hit("a", 60)[0] == 201


def test_a_window_ends_by_the_databases_clock(store: Store) -> None:
    count, left = store.rates.hit("a", 0.2)
    assert count == 1 and 0 < left < 0.3
    wait_until(lambda: store.rates.look("a") == (0, 0.0))
    assert store.rates.hit("a", 60)[0] == 1


def test_too_many_calls_are_refused_with_the_time_to_come_again(store: Store, other: Store) -> None:
    one, another = Limits(store), Limits(other)
    most = RATES["submit"].most
    store.rates.hit("submit/user sam", 60, most - 1)
    one.count("submit", "", "user sam")
    with pytest.raises(Busy, match=f"more than {most} submissions in 60 s") as refused:
        another.count("submit", "", "user sam")
    assert 0 < (refused.value.retry_after or 0) <= 60
    another.count("submit", "", "user ann")
    another.count("jobs", "", "user sam")


def test_an_address_is_a_site(store: Store) -> None:
    limits = Limits(store)
    store.rates.hit("enrol/2001:db8:0:1::/64", 60, RATES["enrol"].most)
    with pytest.raises(Busy):
        limits.count("enrol", "2001:db8:0:1:2::3", "")
    limits.count("enrol", "2001:db8:0:2::3", "")
    assert block_of("::ffff:192.0.2.1") == block_of("192.0.2.1") == "192.0.2.1"
    assert block_of("") == ""


def test_rates_are_of_routes() -> None:
    assert set(RATES) <= set(BY_NAME)
    assert "sync" not in RATES, "a sync has a fixed number of round trips"


def test_what_anybody_may_send_is_small_enough_to_be_awaited_without_a_thread() -> None:
    assert PUBLIC_LIMIT <= WHOLE
    for route in ROUTES:
        if route.who == "public" and route.method not in ("GET", "HEAD"):
            assert route.body_limit <= WHOLE, route.name


def test_one_that_syncs_without_end_is_slowed_down_alone() -> None:
    pace, now = Pace(), 1000.0
    for _ in range(int(Pace.AT_ONCE)):
        pace.count("c1", "secret", now)
    with pytest.raises(Busy):
        pace.count("c1", "secret", now)
    pace.count("c1", "a guess", now)
    pace.count("c2", "secret", now)
    pace.count("c1", "secret", now + 0.1)


@pytest.fixture
def processes(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FlaskClient]]:
    """Two processes of one master, without what checks their forms."""
    opened: list[Store] = []

    def opens(given: Settings) -> Store:
        opened.append(wiring.open_store(given))
        return opened[-1]

    monkeypatch.setattr("server.app.open_store", opens)
    apps = [create_app(settings), create_app(settings)]
    for app in apps:
        app.config["WTF_CSRF_ENABLED"] = False
    yield [app.test_client() for app in apps]
    for each in opened:
        each.close()


def test_over_http_two_processes_share_a_rate(processes: list[FlaskClient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "RATES", {"enrol": replace(RATES["enrol"], most=3)})
    asked = [each.post("/api/v1/enrol", data=b"{}") for each in processes * 2]
    assert [answer.status_code for answer in asked] == [400, 400, 400, 429]
    assert 0 < int(asked[-1].headers["Retry-After"]) <= 60
    assert b"more than 3 enrolments" in asked[-1].data


def test_forms_are_counted_in_the_store_too(processes: list[FlaskClient]) -> None:
    answers = [processes[number % 2].post("/login/nothing").status_code for number in range(61)]
    assert answers[:60].count(429) == 0 and answers[60] == 429


def test_over_http_one_that_syncs_without_end_is_told_to_come_later(
    processes: list[FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "AT_ONCE", 3.0)
    monkeypatch.setattr(Pace, "PER_S", 0.0)
    headers = {"Authorization": "Bearer c1.secret"}
    asked = [processes[0].post("/api/v1/sync", data=b"not even JSON", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in asked] == [400, 400, 400, 429]
    assert asked[-1].headers["Retry-After"] == "1"
    another = processes[0].post("/api/v1/sync", data=b"{}", headers={"Authorization": "Bearer c2.secret"})
    assert another.status_code == 400
