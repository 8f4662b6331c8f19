"""A job whose results differ from run to run stops at its first chunks, with the difference and what may help."""

import itertools
from collections.abc import Callable

import pytest

from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import VerifySpec
from server.housekeeping import Housekeeping
from server.settings import Settings
from server.store import Store
from tests.integration.simulated import Master, Volunteer, double
from tests.integration.test_adaptive import ADAPTIVE, client_of, job_of


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


@pytest.fixture
def housekeeping(store: Store, settings: Settings) -> Housekeeping:
    return Housekeeping(store, settings)


def unlike() -> Callable[[Lease], bytes]:
    """A program that gives another result each time."""
    number = itertools.count()
    return lambda lease: f"value {lease.start}.{next(number):09d}\n".encode()


def turns(housekeeping: Housekeeping, *volunteers: Volunteer, count: int = 3, want: int = 4) -> None:
    for _ in range(count):
        for volunteer in volunteers:
            volunteer.work(want)
        housekeeping.round(client_of(volunteers[0])["seen"])


def test_three_clients_that_never_agree_stop_the_job(master: Master, housekeeping: Housekeeping) -> None:
    job = master.submit(100, verify=ADAPTIVE)
    program = unlike()
    turns(housekeeping, *(master.volunteer(program) for _ in range(3)), count=7)
    found = job_of(master, job)
    assert found["state"] == "failed" and "differ from run to run" in found["error"], found
    assert "random seeds" in found["error"] and "byte" in found["error"]
    assert found["counters"].get("wrong", 0) == 0, "nobody is marked"


@pytest.mark.parametrize("policy", ["quorum", "adaptive"])
def test_two_clients_are_asked_once_more_and_the_comparator_is_named(
    master: Master, housekeeping: Housekeeping, policy: str
) -> None:
    job = master.submit(5, verify=VerifySpec(policy=policy))  # type: ignore[arg-type]
    number = itertools.count()

    def nearly(lease: Lease) -> bytes:
        return f"{lease.start} {3.14159 + next(number) * 1e-13!r}\n".encode()

    turns(housekeeping, master.volunteer(nearly), master.volunteer(nearly), count=5)
    found = job_of(master, job)
    assert found["state"] == "failed", found
    assert 'compare = "numbers" and rtol = 1e-12 in [verify]' in found["error"]


def test_one_liar_does_not_stop_a_job(master: Master, housekeeping: Housekeeping) -> None:
    """The honest client's second run is its first again, so the job waits for a third."""
    job = master.submit(6, verify=ADAPTIVE)
    liar, honest = master.volunteer(lambda lease: f"lie {lease.start}".encode()), master.volunteer()
    turns(housekeeping, liar, honest, count=6)
    found = job_of(master, job)
    assert found["state"] == "running" and len(found["again"]) >= 3
    again = [r for c in master.store.chunks.page(job, 0, "", "", 100) for r in c.replicas if r.again]
    assert {r.state for r in again} >= {"returned"} and not any(r.wrong for r in again)
    turns(housekeeping, master.volunteer(double), honest, count=8)
    ended = job_of(master, job)
    assert ended["state"] == "completed" and ended["counters"]["returned"] > 12
    assert "findings" in client_of(liar) and "findings" not in client_of(honest)


def test_a_job_past_its_trial_is_let_be(master: Master, housekeeping: Housekeeping) -> None:
    job = master.submit(30, verify=ADAPTIVE)
    first, second = master.volunteer(), master.volunteer()
    turns(housekeeping, first, second, count=5)
    assert job_of(master, job)["counters"]["confirmed"] >= 3
    first.program, second.program = unlike(), unlike()
    turns(housekeeping, first, second, count=5)
    assert job_of(master, job)["state"] == "running"
