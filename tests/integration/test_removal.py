"""Removed jobs and what only they referred to: it goes, and nothing else does, whatever happens at the same time."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dockercomp.protocol.errors import Conflict
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import InputFile, SubmitRequest
from server.housekeeping import Housekeeping
from server.inputs import Inputs
from server.lifecycle import Chunk
from server.removal import KEPT_S, KEPT_UPLOAD_S, Removal
from server.settings import Settings
from server.sources import Sources
from server.store import Store
from server.tidying import Tidying
from tests.integration.simulated import Master, Volunteer
from tests.integration.test_endings import document_of, housekeep, turn
from tests.waiting import wait_until

LATER = KEPT_S + 100


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def removal(master: Master) -> Removal:
    return Removal(master.store, Sources(master.store))


def remove(master: Master, job: str) -> None:
    removal(master).remove(document_of(master, job))


def free(master: Master, later_s: float = LATER) -> int:
    return removal(master).free_removed(time.time() + later_s)


def run(master: Master, job: str, results: dict[int, bytes] | None = None) -> None:
    """One volunteer runs the whole job; results over 64 KiB go the long way."""

    def program(lease: object) -> bytes:
        index: int = lease.index  # type: ignore[attr-defined]
        return (results or {}).get(index, b"result %d of %s\n" % (index, job.encode()))

    volunteer = master.volunteer(program)  # type: ignore[arg-type]
    for _ in range(6):
        volunteer.send(volunteer.request(50))
        volunteer.compute()
        for lease, report in list(volunteer.results.items()):
            if report.size > 64 * 1024:
                master.store.blobs.put(report.payload or b"")
                volunteer.results[lease] = msgspec.structs.replace(report, payload=None)
    assert document_of(master, job)["state"] == "completed"


def submit_files(master: Master, *files: bytes, program: bytes = b"a folder", reduce: bool = False) -> str:
    listed = [
        InputFile(name=f"{n}.txt", digest=master.store.blobs.put(data), size=len(data)) for n, data in enumerate(files)
    ]
    spec = JobSpec(
        name="files",
        image="i",
        input=InputSpec(split="files"),
        map=ProgramSpec(command=["cat", "{input}"]),
        reduce=ReduceSpec(command=["cat"]) if reduce else None,
        verify=VerifySpec(policy="none"),
        reuse=False,
    )
    request = SubmitRequest(spec=spec, inputs=listed, program=master.store.blobs.put(program))
    return str(master.submission.submit("ada", request, "")["_id"])


def here(master: Master, *data: bytes) -> list[bool]:
    """Which of these are stored, without calling for them."""
    root: Path = master.store.blobs._root  # type: ignore[attr-defined]
    payloads = master.store.payloads.have([digest(each) for each in data])
    return [digest(each) in payloads or (root / digest(each)[:2] / digest(each)).exists() for each in data]


def test_a_removed_job_is_gone_with_all_that_only_it_refers_to(master: Master) -> None:
    large = b"x" * 100_000
    job = submit_files(master, b"one", b"two", reduce=True)
    run(master, job, {1: large})
    small = b"result 0 of %s\n" % job.encode()
    document = document_of(master, job)
    assert document["state"] == "completed" and all(here(master, b"one", b"a folder", small, large))

    remove(master, job)
    assert master.store.jobs.by_id(job) is None and master.store.jobs.page(None, 10) == []
    assert free(master, later_s=0) == 0, "somebody may be about to use it again"
    assert free(master) == 1
    assert not any(here(master, b"one", b"two", b"a folder", small, large))
    root: Path = master.store.blobs._root  # type: ignore[attr-defined]
    assert [path for path in root.glob("??/*") if len(path.name) == 64] == []
    assert master.store.chunks.page(job, None, "", "", 10) == []
    assert master.store.database["jobs"].count_documents({}) == 0


def test_what_another_job_refers_to_stays(master: Master) -> None:
    first = submit_files(master, b"shared", b"only first")
    run(master, first, {0: b"same", 1: b"first\n"})
    second = submit_files(master, b"shared", b"only second")
    run(master, second, {0: b"same", 1: b"second\n"})
    remove(master, first)
    free(master)
    assert here(master, b"shared", b"a folder", b"same", b"second\n", b"only second") == [True] * 5
    assert here(master, b"only first", b"first\n") == [False, False]
    remove(master, second)
    free(master)
    assert not any(here(master, b"shared", b"a folder", b"same", b"second\n"))


def test_results_that_are_anothers_input_stay(master: Master, settings: Settings) -> None:
    first = submit_files(master, b"a", b"b")
    run(master, first, {0: b"left\n", 1: b"right\n"})
    spec = JobSpec(
        name="next",
        image="i",
        input=InputSpec(split="lines", chunk_size=100),
        map=ProgramSpec(command=["cat"]),
        verify=VerifySpec(policy="none"),
    )
    request = SubmitRequest(spec=spec, inputs=[InputFile(name="in", job=first)])
    second = str(master.submission.submit("ada", request, "")["_id"])
    remove(master, first)
    free(master)
    assert here(master, b"left\n", b"right\n") == [True, True] and here(master, b"a") == [False]
    chunk = Chunk(id="", job=second, stage=0, index=0, quorum=1, retries=1)
    document = document_of(master, second)
    opened = Inputs(master.store).open(document, msgspec.convert(document["spec"], JobSpec), chunk)
    assert opened is not None and opened.read_at(0, 100) == b"left\nright\n"


def test_results_taken_over_by_another_job_stay(master: Master, settings: Settings) -> None:
    job = master.submit(3, quorum=1)
    run(master, job, {n: b"%d" % n for n in range(3)})
    again = master.submit(3, quorum=1)
    housekeep(master, settings)
    assert document_of(master, again)["reused"] == 3
    remove(master, job)
    free(master)
    assert all(here(master, b"0", b"1", b"2"))


def test_a_result_that_is_brought_again_while_it_is_being_freed_stays(master: Master) -> None:
    old = submit_files(master, b"a")
    run(master, old, {0: b"equal\n"})
    remove(master, old)
    new = submit_files(master, b"b")
    volunteer: Volunteer = master.volunteer(lambda _: b"equal\n")
    volunteer.work(1)
    collector = removal(master)
    needed = collector._needed

    def needed_then_brought(candidates: set[str], leaving: set[str]) -> set[str]:
        found = needed(candidates, leaving)
        volunteer.work(0)  # the very result arrives after everything was marked
        return found

    collector._needed = needed_then_brought  # type: ignore[method-assign]
    # What lies here was stored long before the job was removed.
    master.store.database["payloads"].update_many({}, {"$set": {"at": time.time() - 2 * KEPT_S}})
    master.store.database["jobs"].update_one({"_id": old}, {"$set": {"removed": time.time() - KEPT_S - 1}})
    assert collector.free_removed(time.time()) == 1
    assert document_of(master, new)["state"] == "completed"
    assert here(master, b"equal\n") == [True]
    assert here(master, b"a") == [True], "blobs were asked for lately: they are judged another time"


def test_a_running_job_cannot_be_removed(master: Master) -> None:
    job = master.submit(2, quorum=1)
    with pytest.raises(Conflict, match="cancel it first"):
        remove(master, job)
    assert document_of(master, job)["state"] == "running"


def test_results_of_a_job_under_way_stay(master: Master) -> None:
    """Votes of open chunks stand in no list yet."""
    gone = submit_files(master, b"a")
    run(master, gone, {0: b"same\n"})
    job = master.submit(2, quorum=2)
    volunteer = master.volunteer(lambda _: b"same\n")
    volunteer.work(1)
    volunteer.work(0)
    remove(master, gone)
    free(master)
    assert here(master, b"same\n") == [True]
    other = master.volunteer(lambda _: b"same\n")
    for each in (other, volunteer, other, volunteer, other):
        each.work(10)
    assert document_of(master, job)["state"] == "completed"


def test_nothing_is_freed_where_a_jobs_references_cannot_be_read(master: Master) -> None:
    gone, broken = submit_files(master, b"a", program=b"p1"), submit_files(master, b"b", program=b"p2")
    run(master, gone)
    table = document_of(master, broken)["inputs"]
    master.store.blobs._path(table).unlink()  # type: ignore[attr-defined]
    remove(master, gone)
    with pytest.raises(Exception, match="no blob"):
        free(master)
    assert all(here(master, b"a", b"p1"))


def test_uploads_that_were_never_submitted_go_after_a_day(master: Master) -> None:
    job = submit_files(master, b"used")
    stray = b"stray"
    master.store.blobs.put(stray)
    now = time.time()
    assert removal(master).free_uploads(now) == 0
    assert removal(master).free_uploads(now + KEPT_UPLOAD_S + 100) == 1
    assert here(master, stray, b"used", b"a folder") == [False, True, True]
    run(master, job)
    assert document_of(master, job)["state"] == "completed"


def test_inputs_of_a_job_that_waits_for_another_stay(master: Master) -> None:
    first = master.submit(2, quorum=1)
    data = master.store.blobs.put(b"waits")
    spec = JobSpec(
        name="next",
        image="i",
        input=InputSpec(split="lines", chunk_size=100),
        map=ProgramSpec(command=["cat"]),
        verify=VerifySpec(policy="none"),
    )
    inputs = [InputFile(name="in", job=first), InputFile(name="also", digest=data, size=5)]
    master.submission.submit("ada", SubmitRequest(spec=spec, inputs=inputs), "")
    removal(master).free_uploads(time.time() + KEPT_UPLOAD_S + 100)
    assert here(master, b"waits") == [True]


def test_the_same_key_after_a_removal_makes_a_new_job(master: Master) -> None:
    spec = JobSpec(
        name="n",
        image="i",
        input=InputSpec(split="range", start=0, stop=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="none"),
    )
    job = str(master.submission.submit("ada", SubmitRequest(spec=spec), "key")["_id"])
    run(master, job)
    remove(master, job)
    again = str(master.submission.submit("ada", SubmitRequest(spec=spec), "key")["_id"])
    assert again != job and document_of(master, again)["state"] == "running"


def test_old_jobs_and_addresses_are_forgotten_when_the_admin_says_so(master: Master, settings: Settings) -> None:
    old, running = master.submit(1, quorum=1), master.submit(5, quorum=1)
    volunteer = master.volunteer()
    turn(volunteer, set(), want=1)
    sources, now = Sources(master.store), master.store.duties.now()
    keeping = Tidying(master.store, sources, settings)
    keeping.expire(now + 400 * 86_400)
    assert master.store.jobs.by_id(old) is not None, "kept for ever by default"
    client = master.store.clients.by_id(volunteer.id)
    assert client is not None and client["address"] == ""

    forgetting = Tidying(master.store, sources, replace(settings, keep_jobs_days=7))
    forgetting.expire(now + 6 * 86_400)
    assert master.store.jobs.by_id(old) is not None
    forgetting.expire(now + 8 * 86_400)
    assert master.store.jobs.by_id(old) is None
    assert document_of(master, running)["state"] == "running"


def test_housekeeping_frees_in_the_background(master: Master, settings: Settings) -> None:
    job = submit_files(master, b"a")
    run(master, job)
    remove(master, job)
    housekeeping = Housekeeping(master.store, settings)
    housekeeping.round(time.time() + LATER)
    wait_until(lambda: master.store.database["jobs"].count_documents({}) == 0)
    assert here(master, b"a") == [False]
