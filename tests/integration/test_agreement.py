"""Results that are not the same bytes, voted on as the job declares, by a real store."""

import hashlib
from collections.abc import Callable

import msgspec
import pytest

from dockercomp.protocol import bundle
from dockercomp.protocol.messages import Lease, ResultReport
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.views import SubmitRequest
from server import comparators, describing
from server.housekeeping import Housekeeping
from server.lifecycle import Chunk
from server.settings import Settings
from server.store import Store
from tests.integration.simulated import Master, Volunteer, done


def submit(master: Master, verify: VerifySpec, *, outputs: list[str] | None = None) -> str:
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=1, per_chunk=1),
        map=ProgramSpec(command=["true"], outputs=outputs or []),
        verify=verify,
    )
    return str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])


def says(data: bytes) -> Callable[[Lease], bytes]:
    return lambda _: data


def bring(master: Master, job: str, *results: bytes) -> Chunk:
    """The only chunk of the job after so many volunteers have each brought their result."""
    for data in results:
        volunteer = master.volunteer(says(data))
        volunteer.work(1)
        volunteer.work(0)
    chunk = master.store.chunks.by_id(f"{job}.0.000000000000")
    assert chunk is not None
    return chunk


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_numbers_within_tolerance_agree_and_the_first_is_the_result(store: Store, settings: Settings) -> None:
    master = Master(store)
    job = submit(master, VerifySpec(compare="numbers", rtol=1e-6))
    chunk = bring(master, job, b"pi 3.1415926\n", b"pi 2.7\n", b"pi 3.14159261\n")
    assert (chunk.state, chunk.digest, chunk.size) == ("accepted", digest(b"pi 3.1415926\n"), 13)
    assert [r.wrong for r in chunk.replicas] == [False, True, False]
    Housekeeping(store, settings).round(store.duties.now())  # what the outvoted client did is looked at again first
    found = store.jobs.by_id(job)
    assert found is not None and found["state"] == "completed"
    assert found["result"]["digest"] == digest(b"pi 3.1415926\n")


def test_by_bytes_they_do_not_agree(store: Store) -> None:
    master = Master(store)
    chunk = bring(master, submit(master, VerifySpec()), b"1.0\n", b"1.00\n")
    assert chunk.state == "open" and chunk.need == 1


def test_files_of_a_result_are_compared_one_by_one(store: Store) -> None:
    master = Master(store)
    job = submit(master, VerifySpec(compare="lines"), outputs=["*.txt"])
    first = bundle.pack([("a.txt", b"x\ny\n"), ("b.txt", b"1\n2\n")])
    chunk = bring(master, job, first, bundle.pack([("a.txt", b"y\nx\n"), ("b.txt", b"2\n1\n")]))
    assert (chunk.state, chunk.digest) == ("accepted", digest(first))


def test_a_large_result_is_compared_once_it_is_uploaded(store: Store) -> None:
    master = Master(store)
    job = submit(master, VerifySpec(compare="lines"))
    lines = [f"{number}\n".encode() for number in range(20_000)]
    first, second = b"".join(lines), b"".join(reversed(lines))
    for data in (first, second):
        volunteer = master.volunteer()
        (lease,) = volunteer.send(volunteer.request(1)).leases
        volunteer.held.clear()
        volunteer.results[lease.id] = msgspec.structs.replace(done(lease.id, data), payload=None)
        (ack,) = volunteer.send(volunteer.request(0)).acks
        assert ack.status == "send"
        store.blobs.put(data)
        (ack,) = volunteer.send(volunteer.request(0)).acks
        assert ack.status == "stored"
    chunk = store.chunks.by_id(f"{job}.0.000000000000")
    assert chunk is not None and (chunk.state, chunk.digest) == ("accepted", digest(first))


def test_a_result_too_large_to_compare_agrees_by_its_bytes_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparators, "LARGEST", 3)
    master = Master(store)
    job = submit(master, VerifySpec(compare="lines"))
    assert bring(master, job, b"a\nb\n", b"b\na\n").state == "open"
    assert bring(master, job, b"a\nb\n").state == "accepted"


def test_two_masters_that_compare_at_once_store_one_vote(store: Store) -> None:
    """The second writes over nothing: its report is not acknowledged, and is compared again when it comes again."""
    master = Master(store)
    job = submit(master, VerifySpec(compare="numbers", atol=0.1))
    a, b = master.volunteer(says(b"1.0\n")), master.volunteer(says(b"1.05\n"))
    a.work(1), b.work(1)
    read = store.chunks.of_client

    def meanwhile(client: str, also: object) -> list[Chunk]:
        found = read(client, also)  # type: ignore[arg-type]
        if client == b.id and a.results:
            a.work(0)
        return found

    store.chunks.of_client = meanwhile  # type: ignore[method-assign, assignment]
    assert b.work(0).acks == []
    assert [ack.status for ack in b.work(0).acks] == ["stored"]
    chunk = store.chunks.by_id(f"{job}.0.000000000000")
    assert chunk is not None and chunk.digest == digest(b"1.0\n")


def test_provenance_shows_times_and_words_of_a_run(store: Store) -> None:
    master = Master(store)
    job = submit(master, VerifySpec(policy="none"))
    volunteer: Volunteer = master.volunteer()
    (lease,) = volunteer.send(volunteer.request(1)).leases
    volunteer.held.clear()
    report = msgspec.structs.replace(done(lease.id, b"1\n"), wall_s=2.5, cpu_s=1e12, log="b" + "x" * 8000 + "e")
    assert isinstance(report, ResultReport)
    volunteer.results[lease.id] = report
    volunteer.send(volunteer.request(0))
    chunk = store.chunks.by_id(f"{job}.0.000000000000")
    assert chunk is not None
    document = store.jobs.by_id(job)
    assert document is not None
    (replica,) = describing.chunk(chunk, document).replicas
    assert (replica.wall_s, replica.cpu_s) == (2.5, 1e9)
    assert len(replica.log_head) == 2048 and replica.log_head[0] == "b" and replica.log_head[-1] == "e"
