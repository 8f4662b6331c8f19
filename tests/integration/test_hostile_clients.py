"""Clients that lie, hoard, flood or die at the worst moment: none of them harms another's job or the master."""

import hashlib
import json

import msgspec
import pytest

from dockercomp.protocol.messages import SYNC_LIMIT, Failure, ResultReport, SyncRequest
from server import lifecycle
from server.housekeeping import SWEEP_S, Housekeeping
from server.settings import Settings
from server.store import Store
from tests.integration.simulated import Master, Volunteer, double
from tests.integration.test_sync import expected, result_of, run_to_end

FAILED = Failure(reason="exit", message="exit code 1", exit_code=1)


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def lie_about_size(liar: Volunteer, size: int) -> str:
    """The right digest with another size, without the payload, as a later replica may."""
    (lease,) = liar.send(liar.request(1)).leases
    digest = hashlib.sha256(double(lease)).hexdigest()
    liar.held.clear()
    liar.results[lease.id] = ResultReport(lease=lease.id, outcome="done", digest=digest, size=size)
    return {ack.lease: ack.status for ack in liar.send(liar.request(0)).acks}[lease.id]


@pytest.mark.parametrize("size", [0, 2, 2**53])
def test_a_size_that_is_not_true_never_becomes_part_of_a_result(master: Master, size: int) -> None:
    job = master.submit(1)
    first, liar, third = master.volunteer(), master.volunteer(), master.volunteer()
    first.work(1)
    first.work(0)
    assert lie_about_size(liar, size) == "rejected"
    run_to_end(master, job, third)
    assert result_of(master, job) == expected(1)


def test_a_committed_size_must_be_that_of_the_upload(master: Master) -> None:
    job = master.submit(1, quorum=1)
    liar, honest = master.volunteer(), master.volunteer()
    assert lie_about_size(liar, 200_000) == "send"
    ((lease, report),) = liar.results.items()
    assert master.store.chunks.committed(liar.id, report.digest) == 200_000
    master.store.blobs.put(expected(1))
    assert {ack.lease: ack.status for ack in liar.send(liar.request(0)).acks} == {lease: "rejected"}
    run_to_end(master, job, honest)
    assert result_of(master, job) == expected(1)


def test_long_failure_texts_are_cut(master: Master) -> None:
    master.submit(3, retries=3)
    volunteer = master.volunteer()
    volunteer.send(volunteer.request(3))
    volunteer.fail(msgspec.structs.replace(FAILED, message="m" * 10**6, log_head="h" * 10**6, log_tail="t" * 10**6))
    volunteer.send(volunteer.request(0))
    stored = master.store.database["chunks"].find_one({"replicas.state": "failed"})
    assert stored is not None and len(json.dumps(stored, default=str)) < 20_000


def test_what_a_sync_may_say_is_bounded() -> None:
    decoder = msgspec.json.Decoder(SyncRequest)
    for key, value in (("status", "x" * 3000), ("load", -1), ("want", 2**60), ("session", "s" * 1000)):
        body = {"protocol": 1, "session": "s", "seq": 1, key: value}
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(json.dumps(body).encode())


def test_payloads_without_a_lease_are_not_kept(master: Master) -> None:
    volunteer = master.volunteer()
    data = b"for free"
    volunteer.results["x"] = ResultReport(
        lease=f"{volunteer.id}.j1.0.000000000000.aa",
        outcome="done",
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        payload=data,
    )
    volunteer.work(0)
    assert master.store.database["payloads"].count_documents({}) == 0


def test_no_client_hoards_a_job(master: Master) -> None:
    master.submit(10 * SYNC_LIMIT, quorum=1)
    greedy = master.volunteer()
    for _ in range(10):
        greedy.send(greedy.request(10**6))
    assert len(greedy.held) == 2 * SYNC_LIMIT


def test_lost_chunks_of_quorum_1_come_before_fresh_ones(master: Master, settings: Settings) -> None:
    job = master.submit(10**9, quorum=1)
    lost, other = master.volunteer(), master.volunteer()
    lost.send(lost.request(3))
    Housekeeping(master.store, settings).round(master.store.duties.now() + settings.silent_after_s + 10)
    assert [lease.index for lease in other.work(5).leases][:3] == [0, 1, 2]
    assert master.store.jobs.by_id(job) is not None


def test_a_lease_granted_by_a_sync_that_outlived_its_client_is_ended(master: Master, settings: Settings) -> None:
    """The client was judged silent, and its leases taken back, while a stalled sync was still to grant it one."""
    job = master.submit(1, quorum=1)
    dead, other = master.volunteer(), master.volunteer()
    dead.send(dead.request(1))
    now = master.store.duties.now() + settings.silent_after_s + 10
    master.store.clients.set_silent(dead.id, now)
    duties = Housekeeping(master.store, settings)
    master.store.database["clients"].update_one({"_id": dead.id}, {"$inc": {"seen": -60}})
    duties.round(master.store.duties.now())
    duties.round(master.store.duties.now() + SWEEP_S + 1)
    run_to_end(master, job, other)
    assert result_of(master, job) == expected(1)


def test_after_an_outage_of_the_masters_nobody_is_judged_silent_at_once(master: Master, settings: Settings) -> None:
    master.submit(2, quorum=1)
    volunteer = master.volunteer()
    volunteer.send(volunteer.request(2))
    back = master.store.duties.now() + 3600
    duties = Housekeeping(master.store, settings)
    duties._last_sweep = back
    duties.round(back + 1, listening_since=back)
    assert volunteer.send(volunteer.request(0)).cancelled == []


def test_forgiving_does_not_rest_on_counters(master: Master, settings: Settings) -> None:
    job = master.submit(1, quorum=1, retries=2)
    only = master.volunteer()
    only.send(only.request(1))
    only.fail(FAILED)
    only.send(only.request(0))
    master.store.jobs.set_counters(job, {"failed": 0})
    assert only.send(only.request(1)).leases == []
    Housekeeping(master.store, settings).round(master.store.duties.now())
    run_to_end(master, job, only)
    assert result_of(master, job) == expected(1)


def test_one_jobs_broken_data_stops_no_other_job(master: Master, settings: Settings) -> None:
    broken, fine = master.submit(1, quorum=1), master.submit(1, quorum=1)
    master.sync._stages.advance = lambda job: False  # type: ignore[method-assign]
    volunteer = master.volunteer()
    volunteer.work(2)
    volunteer.work(0)
    master.store.database["chunks"].update_one({"job": broken}, {"$set": {"digest": "not a digest"}})
    Housekeeping(master.store, settings).round(master.store.duties.now())
    assert result_of(master, fine) == expected(1)


def test_a_chunk_that_takes_its_workers_down_is_given_up(master: Master, settings: Settings) -> None:
    job = master.submit(1, quorum=1)
    for _ in range(lifecycle.MOST_LOST):
        fragile = master.volunteer()
        fragile.send(fragile.request(1))
        fragile.held.clear()
        fragile.send(fragile.request(0))
    Housekeeping(master.store, settings).round(master.store.duties.now())
    document = master.store.jobs.by_id(job)
    assert document is not None
    assert document["state"] == "failed" and "lost with its worker" in document["error"]
    (chunk,) = master.store.database["chunks"].find({"job": job})
    assert len(chunk["replicas"]) <= lifecycle.KEPT_GONE


def test_jobs_that_a_client_cannot_run_do_not_hide_those_it_can(master: Master) -> None:
    for _ in range(120):
        job = master.submit(1, quorum=1)
        master.store.database["jobs"].update_one({"_id": job}, {"$set": {"memory": 1 << 60}})
    possible = master.submit(1, quorum=1)
    volunteer = master.volunteer()
    run_to_end(master, possible, volunteer)
    assert result_of(master, possible) == expected(1)
