"""Canaries: chunks whose answer is known, issued again to see whether a client gives it."""

import secrets

import msgspec
import pytest

from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import VerifySpec
from server import lifecycle, trust
from server.housekeeping import Housekeeping
from server.lifecycle import Chunk, Replica
from server.settings import Settings
from server.store import Store
from tests.integration.simulated import Master, Volunteer, done, double
from tests.integration.test_adaptive import client_of, job_of, known

CHUNKS = 12


@pytest.fixture
def master(store: Store, monkeypatch: pytest.MonkeyPatch) -> Master:
    """After each result of a known client a canary is due."""
    monkeypatch.setattr(trust, "CANARY_SHARE", 1 / 0.02)
    return Master(store)


@pytest.fixture
def job(master: Master) -> str:
    """A job of which two owners have confirmed all chunks but the last ones."""
    job = master.submit(CHUNKS + 40, verify=VerifySpec(policy="adaptive"))
    first, second = (master.volunteer(token=master.token_of(owner)) for owner in ("one", "two"))
    for volunteer in (first, second, first, second):
        volunteer.work(CHUNKS // 2)
        volunteer.work(0)
    for volunteer in (second, first):
        volunteer.work(0)
    return job


def proven(master: Master, job: str, program: object = double) -> Volunteer:
    """A known client of a third owner, which has just computed a chunk."""
    volunteer = master.volunteer(program, token=master.token_of("three"))  # type: ignore[arg-type]
    known(volunteer, job)
    volunteer.work(1)
    return volunteer


def canaries(master: Master, job: str) -> list[tuple[Chunk, Replica]]:
    found = master.store.chunks.page(job, 0, "", "", 5000)
    return [(chunk, replica) for chunk in found for replica in chunk.replicas if replica.canary]


def holding_one(master: Master, job: str, program: object = double) -> tuple[Volunteer, Lease]:
    """A client that holds a canary, not computed yet, and its lease."""
    volunteer = proven(master, job, program)
    answer = volunteer.send(volunteer.request(1))
    ((_, replica),) = canaries(master, job)
    return volunteer, next(lease for lease in answer.leases if lease.id == replica.lease)


def payloads(master: Master) -> int:
    return master.store.payloads._payloads.count_documents({})


def test_an_invented_lease_is_answered_like_any_unknown_one(master: Master, job: str) -> None:
    volunteer = proven(master, job)
    volunteer.results = {
        lease: done(lease, b"")
        for lease in (f"{volunteer.id}.{job}.{stage}.{0:012d}.abcd" for stage in ("7", "x", "²", "0"))
    }
    answer = volunteer.send(volunteer.request(1))
    assert {ack.status for ack in answer.acks} == {"unknown"}


def test_the_known_answer_is_an_agreement_and_nothing_else_changes(master: Master, job: str) -> None:
    volunteer, lease = holding_one(master, job)
    (before, _), stored = canaries(master, job)[0], payloads(master)
    assert lifecycle.confirmed(before) and job_of(master, job)["counters"]["accepted_0"] > 0
    counted, agreed = job_of(master, job)["counters"], client_of(volunteer)["counters"]["agreed"]
    volunteer.held = {lease.id: lease}
    volunteer.compute()
    answer = volunteer.send(volunteer.request(0))
    assert [ack.status for ack in answer.acks] == ["stored"]
    ((after, replica),) = canaries(master, job)
    assert (replica.state, replica.wrong) == ("returned", False)
    assert (after.state, after.digest, after.size, after.quorum) == ("accepted", before.digest, before.size, 2)
    assert client_of(volunteer)["counters"]["agreed"] == agreed + 1
    now = job_of(master, job)["counters"]
    assert now["canaries"] == 1 and now["accepted_0"] == counted["accepted_0"]
    assert payloads(master) == stored, "what agrees is not stored again"


def test_another_answer_marks_the_client_and_votes_for_nothing(master: Master, job: str) -> None:
    volunteer, lease = holding_one(master, job)
    before, _ = canaries(master, job)[0]
    volunteer.held.clear()
    volunteer.results = {lease.id: done(lease.id, b"lie")}
    (ack,) = volunteer.send(volunteer.request(0)).acks
    assert ack.status == "stored", "as for any other result"
    ((after, replica),) = canaries(master, job)
    assert replica.wrong and (after.state, after.digest) == ("accepted", before.digest)
    document = client_of(volunteer)
    assert "not the known one" in document["findings"][job]["reason"]
    assert document["counters"]["agreed"] == 0
    assert master.store.chunks._chunks.count_documents({"job": job, "wrong_clients": volunteer.id}) == 1
    assert volunteer.work(5).leases == []


def test_numbers_within_the_tolerance_are_the_known_answer(master: Master) -> None:
    verify = VerifySpec(policy="adaptive", compare="numbers", rtol=1e-3)
    job = master.submit(30, verify=verify)
    for owner, says in (("one", b"1.0\n"), ("two", b"1.0001\n")):
        volunteer = master.volunteer(lambda _, says=says: says, token=master.token_of(owner))  # type: ignore[misc]
        volunteer.work(5)
        volunteer.work(0)
    volunteer, lease = holding_one(master, job, lambda _: b"1.0002\n")
    volunteer.held = {lease.id: lease}
    volunteer.compute()
    volunteer.send(volunteer.request(0))
    ((_, replica),) = canaries(master, job)
    assert (replica.state, replica.wrong) == ("returned", False)


def test_who_had_a_part_in_a_chunk_or_whose_owner_had_is_not_tested_with_it(master: Master, job: str) -> None:
    volunteer = master.volunteer(token=master.token_of("one"))
    known(volunteer, job)
    for _ in range(4):
        volunteer.work(4)
    assert canaries(master, job) == []


def test_a_repeated_sync_gives_the_same_canary_again(master: Master, job: str) -> None:
    volunteer = proven(master, job)
    request = volunteer.request(2)
    first, second = volunteer.send(request), volunteer.send(request)
    assert [lease.id for lease in first.leases] == [lease.id for lease in second.leases]
    assert len(canaries(master, job)) == 1


@pytest.mark.parametrize("how", ["forgotten", "given back", "silent"])
def test_a_canary_that_does_not_come_back_ends_like_any_lease(
    master: Master, job: str, how: str, settings: Settings
) -> None:
    volunteer, lease = holding_one(master, job)
    volunteer.held.clear()
    if how == "silent":
        Housekeeping(master.store, settings).round(client_of(volunteer)["seen"] + 1000)
    else:
        if how == "given back":
            report = msgspec.structs.replace(done(lease.id, b""), outcome="returned", payload=None)
            volunteer.results = {lease.id: report}
        volunteer.send(volunteer.request(0))
    ((chunk, replica),) = canaries(master, job)
    assert (replica.state, replica.wrong, chunk.state) == ("gone", False, "accepted")
    assert master.store.chunks.held_by(volunteer.id) == []
    assert client_of(volunteer)["counters"].get("late", 0) == (0 if how == "given back" else 1)


def test_a_job_ends_without_waiting_for_a_canary(master: Master, job: str) -> None:
    holder, _ = holding_one(master, job)
    holder.work(0)
    holding_one_still = canaries(master, job)
    others = [master.volunteer(token=master.token_of(owner)) for owner in ("one", "two")]
    for _ in range(20):
        for volunteer in others:
            volunteer.work(12)
    assert job_of(master, job)["state"] == "completed"
    assert canaries(master, job) == holding_one_still and holding_one_still[0][1].state == "leased"


def test_a_canary_of_a_job_that_was_cancelled_is_taken_back(master: Master, job: str, settings: Settings) -> None:
    volunteer, lease = holding_one(master, job)
    master.store.jobs.end(job, "cancelled", {})
    Housekeeping(master.store, settings).round(client_of(volunteer)["seen"])
    answer = volunteer.send(volunteer.request(0))
    assert lease.id in answer.cancelled
    volunteer.results = {}
    volunteer.send(volunteer.request(0))
    assert master.store.chunks.held_by(volunteer.id) == []
    assert job not in client_of(volunteer)["counters"].get("jobs", {}), "an ended job is not counted on"


def test_the_chunk_of_a_canary_whose_answer_fell_lets_it_vote(master: Master, job: str) -> None:
    volunteer, lease = holding_one(master, job)
    (chunk, _), sample = canaries(master, job)[0], secrets.token_hex(8)
    for liar in {r.client for r in chunk.replicas if not r.canary}:
        after = lifecycle.doubt(chunk, liar)
        master.store.chunks.compare_and_set([(chunk, after)], sample + liar)
        chunk = after
    assert chunk.state == "open" and canaries(master, job) == []
    volunteer.held = {lease.id: lease}
    volunteer.compute()
    volunteer.send(volunteer.request(0))
    found = master.store.chunks.by_id(chunk.id)
    assert found is not None and found.state == "accepted"
    assert [r.client for r in found.replicas if r.state == "returned"][-1] == volunteer.id
