"""Between owners by what they used, then by priority, then by age: nobody starves."""

from collections import Counter

import pytest

from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.views import SubmitRequest
from server.store import Store
from tests.integration.simulated import Master, Volunteer
from tests.integration.test_endings import document_of


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def submit(master: Master, owner: str, numbers: int, *, priority: int = 0, quorum: int = 1) -> str:
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=numbers, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="none" if quorum == 1 else "quorum", quorum=quorum),
        priority=priority,
        reuse=False,
    )
    return str(master.submission.submit(owner, SubmitRequest(spec=spec), "")["_id"])


def given(volunteer: Volunteer, want: int) -> Counter[str]:
    """The jobs of the chunks that a client gets, which it runs at once."""
    return Counter(lease.job for lease in volunteer.work(want).leases)


def test_a_job_of_a_billion_chunks_starves_nobody(master: Master) -> None:
    huge = submit(master, "ada", 10**9)
    volunteer = master.volunteer()
    for _ in range(5):
        assert given(volunteer, 20) == {huge: 20}
    small = submit(master, "grace", 30)
    assert given(volunteer, 20) == {small: 20}
    assert given(volunteer, 20) == {small: 10, huge: 10}
    volunteer.work(0)
    assert document_of(master, small)["state"] == "completed"
    assert given(volunteer, 20) == {huge: 20}


def test_two_owners_share_evenly_whatever_the_order_and_number_of_their_jobs(master: Master) -> None:
    of_ada = [submit(master, "ada", 10_000) for _ in range(5)]
    of_grace = submit(master, "grace", 10_000)
    volunteer, total = master.volunteer(), Counter[str]()
    for _ in range(20):
        total += given(volunteer, 10)
    assert total[of_grace] == sum(total[job] for job in of_ada) == 100


def test_who_has_used_much_lately_waits_longer(master: Master) -> None:
    master.store.usage.charge({"ada": 1000.0})
    submit(master, "ada", 100)
    of_grace = submit(master, "grace", 100)
    assert given(master.volunteer(), 50) == {of_grace: 50}


def test_among_ones_own_jobs_priority_counts_then_age(master: Master) -> None:
    first, second = submit(master, "ada", 10), submit(master, "ada", 10)
    urgent = submit(master, "ada", 10, priority=5)
    volunteer = master.volunteer()
    assert given(volunteer, 15) == {urgent: 10, first: 5}
    assert given(volunteer, 15) == {first: 5, second: 10}


def test_second_opinions_are_dealt_fairly_too(master: Master) -> None:
    """Chunks that wait for another client belong to the order as well: those of the owner served first come first."""
    a, b = master.volunteer(), master.volunteer()
    of_ada = submit(master, "ada", 10**9, quorum=2)
    a.work(100)
    a.work(0)
    of_grace = submit(master, "grace", 40, quorum=2)
    a.work(40)
    a.work(0)
    assert given(b, 40)[of_grace] >= 20
    master.store.usage.charge({"grace": 10_000.0})
    assert given(b, 40)[of_ada] >= 20


def test_many_jobs_of_one_owner_do_not_hide_another_owners(master: Master) -> None:
    of_ada = [submit(master, "ada", 10) for _ in range(101)]
    of_grace = submit(master, "grace", 10)
    volunteer = master.volunteer()
    assert given(volunteer, 15)[of_ada[0]] == 10
    assert given(volunteer, 5) == {of_grace: 5}


def test_what_was_used_decays(store: Store) -> None:
    store.usage.charge({"ada": 100.0, "grace": 1.0})
    store.database["usage"].update_one({"_id": "ada"}, [{"$set": {"at": {"$subtract": ["$at", 2 * 24 * 3600]}}}])
    used = store.usage.of(["ada", "grace", "nobody"])
    assert used == {"ada": pytest.approx(25.0, rel=0.01), "grace": pytest.approx(1.0, rel=0.01)}
    store.usage.charge({"ada": 10.0})
    assert store.usage.of(["ada"])["ada"] == pytest.approx(35.0, rel=0.01)
