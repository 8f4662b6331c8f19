"""The master's one round trip on a real MongoDB: nothing lost, nothing counted twice, exact acknowledgements."""

import secrets
from collections import Counter

import pytest
from pymongo import MongoClient

from dockercomp.protocol.errors import StaleSync, Unauthorized
from dockercomp.protocol.messages import Failure, Lease
from dockercomp.protocol.views import AllocationChange
from server import describing
from server.allocating import Allocating
from server.housekeeping import Housekeeping
from server.settings import Settings
from server.sources import Sources
from server.stages import Stages
from server.store import Store
from server.store.blobs import stream
from tests.integration.simulated import Master, Volunteer, done, double


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def result_of(master: Master, job: str) -> bytes:
    from server.inputs import Inputs

    document = master.store.jobs.by_id(job)
    assert document is not None and document["state"] == "completed", document
    return b"".join(stream(Inputs(master.store).results(document["result"]["manifest"])))


def expected(numbers: int) -> bytes:
    return "".join(f"{n}-{n + 1}\n" for n in range(numbers)).encode()


def run_to_end(master: Master, job: str, *volunteers: Volunteer, turns: int = 60) -> None:
    for _ in range(turns):
        for volunteer in volunteers:
            volunteer.work()
        found = master.store.jobs.by_id(job)
        assert found is not None
        if found["state"] != "running":
            return
    raise AssertionError(f"not finished after {turns} turns: {found}")


def test_a_job_ends_with_the_right_bytes_each_chunk_once(master: Master) -> None:
    job = master.submit(57)
    run_to_end(master, job, master.volunteer(), master.volunteer())
    assert result_of(master, job) == expected(57)
    document = master.store.jobs.by_id(job)
    assert document is not None
    assert (document["counters"]["accepted_0"], document["counters"]["returned"]) == (57, 114)


def test_one_client_alone_never_makes_a_quorum(master: Master) -> None:
    job = master.submit(5)
    alone = master.volunteer()
    for _ in range(5):
        alone.work()
    found = master.store.jobs.by_id(job)
    assert found is not None and found["state"] == "running" and found["counters"].get("accepted_0", 0) == 0


def test_a_liar_is_outvoted_and_marked(master: Master, settings: Settings) -> None:
    job = master.submit(20)
    liar = master.volunteer(lambda lease: b"wrong")
    with pytest.raises(AssertionError, match="not finished"):
        run_to_end(master, job, liar, master.volunteer(), master.volunteer(), turns=10)
    Housekeeping(master.store, settings).round(master.store.duties.now())  # what the liar did is looked at again first
    assert result_of(master, job) == expected(20)
    document = master.store.clients.by_id(liar.id)
    assert document is not None and "outvoted" in document["marked"] and document["counters"]["wrong"] > 0


def test_a_repeated_sync_gets_the_same_leases_and_counts_nothing_twice(master: Master) -> None:
    job = master.submit(10, quorum=1)
    volunteer = master.volunteer()
    volunteer.work(4)
    request = volunteer.request(4)
    first, second = volunteer.send(request), volunteer.send(request)
    assert [lease.id for lease in first.leases] == [lease.id for lease in second.leases] != []
    assert {ack.lease: ack.status for ack in first.acks} == {ack.lease: ack.status for ack in second.acks}
    volunteer.compute()
    run_to_end(master, job, volunteer)
    assert result_of(master, job) == expected(10)
    document = master.store.jobs.by_id(job)
    assert document is not None and document["counters"]["returned"] == 10


def test_an_older_sync_is_refused(master: Master) -> None:
    volunteer = master.volunteer()
    old = volunteer.request(0)
    volunteer.send(volunteer.request(0))
    with pytest.raises(StaleSync):
        volunteer.send(old)


def test_a_lease_that_is_not_named_again_goes_to_others_at_once(master: Master) -> None:
    job = master.submit(3, quorum=1)
    forgetful, other = master.volunteer(), master.volunteer()
    forgetful.work(3)
    forgetful.results.clear()
    forgetful.work(0)
    run_to_end(master, job, other)
    assert result_of(master, job) == expected(3)


def test_a_wrong_secret_gets_nothing(master: Master) -> None:
    volunteer = master.volunteer()
    volunteer.secret_hash = "0" * 64
    with pytest.raises(Unauthorized):
        volunteer.work()


def test_a_corrupted_payload_is_rejected_and_the_chunk_done_again(master: Master) -> None:
    job = master.submit(1, quorum=1)
    volunteer = master.volunteer()
    volunteer.work(1)
    (lease,) = volunteer.results
    honest = volunteer.results[lease]
    volunteer.results[lease] = type(honest)(
        lease=lease, outcome="done", digest=honest.digest, size=honest.size, payload=b"0-X\n"
    )
    answer = volunteer.work(1)
    assert [(ack.status, "checksum" in ack.reason) for ack in answer.acks] == [("rejected", True)]
    run_to_end(master, job, volunteer)
    assert result_of(master, job) == expected(1)


def test_a_failing_program_ends_the_job_with_its_reason(master: Master) -> None:
    job = master.submit(4, retries=2)
    failure = Failure(reason="exit", message="exit code 3", exit_code=3, log_tail="boom")
    for volunteer in (master.volunteer(), master.volunteer()):
        volunteer.send(volunteer.request(1))
        volunteer.fail(failure)
        volunteer.send(volunteer.request(0))
    document = master.store.jobs.by_id(job)
    assert document is not None and document["state"] == "running", "the other chunks are tried first"
    failed = master.store.chunks.failed(job, 10)
    assert failed[0].replicas[0].failure == failure and "exit code 3" in failed[0].error


def test_a_silent_clients_chunks_go_to_others(master: Master, settings: Settings) -> None:
    job = master.submit(4, quorum=1)
    lost, other = master.volunteer(), master.volunteer()
    lost.send(lost.request(4))
    housekeeping = Housekeeping(master.store, settings)
    now = master.store.duties.now()
    housekeeping.round(now + settings.silent_after_s - 1)
    assert other.send(other.request(4)).leases == []
    housekeeping.round(now + settings.silent_after_s + 10)
    run_to_end(master, job, other)
    assert result_of(master, job) == expected(4)


def test_a_lease_past_its_deadline_goes_to_others_though_its_client_names_it(master: Master) -> None:
    job = master.submit(1, quorum=1)
    slow, other = master.volunteer(), master.volunteer()
    slow.send(slow.request(1))
    assert other.send(other.request(1)).leases == []
    master.store.database["chunks"].update_one({"job": job}, {"$set": {"replicas.0.deadline": 1.0}})
    assert slow.send(slow.request(0)).cancelled
    run_to_end(master, job, other)
    assert result_of(master, job) == expected(1)


def test_a_range_taken_by_a_master_that_died_is_issued_again(master: Master, settings: Settings) -> None:
    job = master.submit(12, quorum=1)
    taken = master.store.jobs.take_range(job, 0, 5, "lost")
    assert taken == (0, 5)
    volunteer = master.volunteer()
    volunteer.work(12)
    volunteer.work(0)
    found = master.store.jobs.by_id(job)
    assert found is not None and not Stages(master.store, Sources(master.store)).advance(found)
    Housekeeping(master.store, settings).round(master.store.duties.now() + 60)
    run_to_end(master, job, volunteer)
    assert result_of(master, job) == expected(12)


def test_reduce_reads_the_map_results_in_chunk_order(master: Master) -> None:
    job = master.submit(7, reduce=True)
    seen: list[int] = []

    def program(lease: Lease) -> bytes:
        if lease.stage == 0:
            return double(lease)
        seen.append(lease.index)
        return b"reduced"

    run_to_end(master, job, master.volunteer(program), master.volunteer(program))
    assert seen == [0, 0] and result_of(master, job) == b"reduced"
    document = master.store.jobs.by_id(job)
    assert document is not None
    from server.inputs import Inputs

    whole = Inputs(master.store).results(document["stages"]["0"]["manifest"]["digest"])
    assert whole.read_at(0, whole.size) == expected(7)


def test_a_billion_chunks_submit_as_one_document(master: Master) -> None:
    job = master.submit(10**9, quorum=1)
    volunteer = master.volunteer()
    assert len(volunteer.work(50).leases) == 50
    assert master.store.database["chunks"].count_documents({}) == 50
    found = master.store.jobs.by_id(job)
    assert found is not None and found["stages"]["0"]["total"] == 10**9


def test_acknowledgements_name_exactly_what_is_stored(master: Master, settings: Settings) -> None:
    """MongoDB refuses one chunk of a hundred and one payload of a hundred: those two are not acknowledged, and are
    taken when they are sent again."""
    job = master.submit(100, quorum=1)
    volunteer = master.volunteer()
    volunteer.work(100)
    reports = list(volunteer.results)
    blocked_chunk, blocked_payload = reports[40], reports[70]
    database = MongoClient(settings.mongo_uri)[settings.database]
    chunk = ".".join(blocked_chunk.split(".")[1:4])
    payload = volunteer.results[blocked_payload].digest
    database.command("collMod", "chunks", validator={"_id": {"$ne": chunk}}, validationLevel="strict")
    database.create_collection("payloads", validator={"_id": {"$ne": payload}})
    first = volunteer.work(0)
    stored = {ack.lease for ack in first.acks if ack.status == "stored"}
    accepted = master.store.chunks.count_accepted(job, 0)
    assert stored.isdisjoint({blocked_chunk, blocked_payload})
    assert len(stored) == accepted > 0
    for collection in ("chunks", "payloads"):
        database.command("collMod", collection, validator={})
    database.client.close()
    run_to_end(master, job, volunteer)
    assert result_of(master, job) == expected(100)


def test_many_clients_at_once_lease_every_chunk_to_different_clients(master: Master) -> None:
    from concurrent.futures import ThreadPoolExecutor

    job = master.submit(300)
    volunteers = [master.volunteer() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda v: [v.work(25) for _ in range(12)], volunteers))
    run_to_end(master, job, *volunteers)
    assert result_of(master, job) == expected(300)
    votes = Counter(
        (chunk["_id"], replica["client"])
        for chunk in master.store.database["chunks"].find({"job": job})
        for replica in chunk["replicas"]
        if replica["state"] == "returned"
    )
    assert max(votes.values()) == 1


def test_a_large_result_is_sent_once_and_not_by_an_agreeing_later_client(master: Master) -> None:
    import hashlib

    large = secrets.token_bytes(100_000)
    digest = hashlib.sha256(large).hexdigest()
    job = master.submit(1)
    first, second = master.volunteer(), master.volunteer()
    for volunteer, wanted in ((first, "send"), (second, "stored")):
        (lease,) = volunteer.send(volunteer.request(1)).leases
        volunteer.held.clear()
        report = type(done(lease.id, b""))(lease=lease.id, outcome="done", digest=digest, size=len(large))
        volunteer.results[lease.id] = report
        answer = volunteer.send(volunteer.request(0))
        assert [ack.status for ack in answer.acks] == [wanted]
        if wanted == "send":
            assert master.store.chunks.committed(volunteer.id, digest)
            master.store.blobs.put(large)
            assert [ack.status for ack in volunteer.send(volunteer.request(0)).acks] == ["stored"]
    assert result_of(master, job) == large


def test_a_job_that_the_pool_cannot_run_says_why(master: Master) -> None:
    def waiting(job: str) -> str:
        document = master.store.jobs.by_id(job)
        assert document is not None
        return describing.job(document, master.store.clients.alive_since(master.store.duties.now() - 15)).waiting

    job = master.submit(5, quorum=3)
    assert "no client is connected" in waiting(job)
    for _ in range(2):
        master.volunteer().work()
    assert "a quorum of 3 needs 3 different clients, and 2 can" in waiting(job)
    third = master.volunteer()
    third.work()
    assert waiting(job) == ""
    document = master.store.clients.by_id(third.id)
    assert document is not None
    change = AllocationChange(containers=1, cpus=1.0, memory=16 << 20)
    Allocating(master.store).allocate(document, change, None, "root")
    assert "and 2 can run this job" in waiting(job)
    assert "needs 256 MiB of memory" in third.work().why_idle
