"""How jobs end that do not end well: what failed is named, the rest is kept, the job or the machine is blamed."""

import pytest

from dockercomp.protocol.messages import Failure, Lease, ResultReport
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import InputFile, SubmitRequest
from server import blame
from server.housekeeping import Housekeeping
from server.settings import Settings
from server.store import Store
from server.store.connection import Document
from tests.integration.simulated import Master, Volunteer

BOOM = Failure(reason="exit", message="exit code 3: boom", exit_code=3)


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def document_of(master: Master, job: str) -> Document:
    found = master.store.jobs.by_id(job)
    assert found is not None
    return found


def turn(volunteer: Volunteer, bad: set[int], want: int = 10, stage: int = 0) -> None:
    """Take chunks and report them all: those of `bad` failed, the others done."""
    volunteer.send(volunteer.request(want))
    for lease in list(volunteer.held.values()):
        if lease.index in bad and lease.stage == stage:
            fail_one(volunteer, lease)
    volunteer.compute()
    volunteer.send(volunteer.request(0))


def fail_one(volunteer: Volunteer, lease: Lease) -> None:
    volunteer.held.pop(lease.id)
    volunteer.results[lease.id] = ResultReport(lease=lease.id, outcome="failed", failure=BOOM)


def housekeep(master: Master, settings: Settings) -> None:
    Housekeeping(master.store, settings).round(master.store.duties.now())


def test_a_failed_chunk_lets_the_others_go_on_and_is_named_at_the_end(master: Master, settings: Settings) -> None:
    job = master.submit(6, quorum=1, retries=1)
    volunteer = master.volunteer()
    turn(volunteer, {1}, want=3)
    assert document_of(master, job)["state"] == "running"
    housekeep(master, settings)
    assert document_of(master, job)["missing"] == ["number 1"]
    turn(volunteer, {4})
    ended = document_of(master, job)
    assert ended["state"] == "failed"
    assert ended["error"] == (
        "2 of 6 chunks failed: number 1; number 4. Chunk 4 failed 1 times; the last time: exit code 3: boom. The other"
        f" results are kept; mend the cause and run only these again: dockercomp retry {job}"
    )
    assert (ended["missing"], ended["missing_count"]) == (["number 1", "number 4"], 2)


def test_files_that_failed_are_named(master: Master) -> None:
    files = [InputFile(name=f"été #{n}.zip", digest=master.store.blobs.put(b"%d" % n), size=1) for n in range(3)]
    spec = JobSpec(
        name="zips",
        image="i",
        input=InputSpec(split="files", files_per_chunk=1),
        map=ProgramSpec(command=["cat", "{input}"]),
        verify=VerifySpec(policy="none"),
        retries=1,
    )
    job = str(master.submission.submit("ada", SubmitRequest(spec=spec, inputs=files), "")["_id"])
    turn(master.volunteer(), {1})
    assert "1 of 3 chunks failed: été #1.zip." in document_of(master, job)["error"]


def test_a_job_whose_first_chunks_all_fail_is_stopped_at_once_and_blamed(master: Master) -> None:
    job = master.submit(1_000_000, quorum=1, retries=1)
    volunteer = master.volunteer()
    turn(volunteer, set(range(1_000_000)), want=3)
    ended = document_of(master, job)
    assert ended["state"] == "failed"
    assert "the job is to blame" in ended["error"] and "exit code 3: boom" in ended["error"]
    assert ended["stages"]["0"]["cursor"] == 3, "no more than that was tried"


def test_chunks_that_fail_among_many_that_succeed_stop_nothing(master: Master) -> None:
    job = master.submit(20, quorum=1, retries=1)
    volunteer = master.volunteer()
    turn(volunteer, set(), want=10)
    turn(volunteer, {12, 13, 14, 15}, want=9)
    assert document_of(master, job)["state"] == "running"


def test_reduce_never_begins_without_all_maps(master: Master, settings: Settings) -> None:
    job = master.submit(4, quorum=1, reduce=True, retries=1)
    volunteer = master.volunteer()
    turn(volunteer, {2})
    housekeep(master, settings)
    ended = document_of(master, job)
    assert ended["state"] == "failed" and ended["stages"]["1"]["cursor"] == 0
    assert "number 2" in ended["error"]


def test_a_tree_goes_on_with_what_is_whole_and_stops_at_what_failed(master: Master, settings: Settings) -> None:
    spec = JobSpec(
        name="tree",
        image="i",
        input=InputSpec(split="range", start=0, stop=9, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        reduce=ReduceSpec(command=["cat"], fan_in=3),
        verify=VerifySpec(policy="none"),
        retries=1,
    )
    job = str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])
    volunteer = master.volunteer()
    turn(volunteer, {4}, want=9)
    housekeep(master, settings)
    assert document_of(master, job)["state"] == "running"
    turn(volunteer, set(), want=9)
    housekeep(master, settings)
    ended = document_of(master, job)
    assert ended["state"] == "failed" and "1 of 9 chunks failed" in ended["error"]
    assert [ended["stages"][n]["cursor"] for n in ("1", "2")] == [1, 0], "the first reducer had all it needs"


def test_rules_of_blame() -> None:
    assert blame.stops_early(3, 2) and not blame.stops_early(3, 3) and not blame.stops_early(2, 0)
    assert blame.machine_to_blame(3, 2) and not blame.machine_to_blame(3, 100) and not blame.machine_to_blame(2, 0)
