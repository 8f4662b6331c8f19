"""How jobs end that do not end well: what failed is named, the rest is kept, the job or the machine is blamed."""

import pytest

from dockercomp.protocol.errors import Conflict
from dockercomp.protocol.messages import Failure, Lease, ResultReport
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import InputFile, SubmitRequest
from server import blame
from server.housekeeping import Housekeeping
from server.reopening import Reopening
from server.running import faults_of
from server.settings import Settings
from server.store import Store
from server.store.connection import Document
from tests.integration.simulated import Master, Volunteer, double

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


def test_bad_inputs_that_fail_before_good_ones_are_done_stop_nothing(master: Master, settings: Settings) -> None:
    job = master.submit(10, quorum=1, retries=1)
    volunteer = master.volunteer()
    volunteer.send(volunteer.request(10))
    for lease in [lease for lease in volunteer.held.values() if lease.index < 3]:
        fail_one(volunteer, lease)
    volunteer.send(volunteer.request(0))
    housekeep(master, settings)
    assert document_of(master, job)["state"] == "running"
    volunteer.compute()
    volunteer.send(volunteer.request(0))
    housekeep(master, settings)
    assert document_of(master, job)["error"].startswith("3 of 10 chunks failed: number 0; number 1; number 2.")


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
    for _ in range(2):  # the reducer that may begin and the first step of its check, then the second
        turn(volunteer, set(), want=9)
        housekeep(master, settings)
    ended = document_of(master, job)
    assert ended["state"] == "failed" and "1 of 9 chunks failed" in ended["error"]
    assert [ended["stages"][n]["cursor"] for n in ("1", "2")] == [1, 0], "the first reducer had all it needs"


def test_rules_of_blame() -> None:
    assert blame.stops_early(3, 2, 0) and not blame.stops_early(3, 3, 0) and not blame.stops_early(2, 0, 0)
    assert blame.stops_early(3, 0, 3) and not blame.stops_early(3, 0, 4)
    assert blame.machine_to_blame(3, 2) and not blame.machine_to_blame(3, 100) and not blame.machine_to_blame(2, 0)


# --- running again ---------------------------------------------------------------------------------------------------


def retry(master: Master, job: str) -> None:
    Reopening(master.store).retry(document_of(master, job))


def test_retry_runs_only_what_failed(master: Master, settings: Settings) -> None:
    job = master.submit(6, quorum=2, retries=1, reduce=True)
    first, second = master.volunteer(), master.volunteer()
    for volunteer in (first, second):
        turn(volunteer, {1, 4})
    housekeep(master, settings)
    assert document_of(master, job)["state"] == "failed"

    retry(master, job)
    again = document_of(master, job)
    assert again["state"] == "running" and "error" not in again and "missing" not in again
    indexes: set[int] = set()
    for volunteer in (first, second):
        volunteer.send(volunteer.request(10))
        indexes |= {lease.index for lease in volunteer.held.values()}
        volunteer.compute()
        volunteer.send(volunteer.request(0))
    assert indexes == {1, 4}, "accepted results stay"
    chunk = master.store.chunks.by_id(f"{job}.0.000000000001")
    assert chunk is not None and chunk.state == "accepted" and chunk.earlier_failures == 1
    for volunteer in (first, second):
        turn(volunteer, set(), want=1)
    assert document_of(master, job)["state"] == "completed"


def test_retry_goes_on_where_a_cancelled_job_stopped(master: Master, settings: Settings) -> None:
    job = master.submit(4, quorum=2)
    a, b = master.volunteer(), master.volunteer()
    a.work(2)
    a.work(0)  # two results that wait for a second opinion
    a.send(a.request(1))  # and one chunk that runs
    master.store.jobs.end(job, "cancelled", {"error": "cancelled by ada"})
    housekeep(master, settings)
    assert a.send(a.request(1)).cancelled
    retry(master, job)
    for _ in range(4):
        for volunteer in (b, a):
            volunteer.work(10)
    assert document_of(master, job)["state"] == "completed"
    assert document_of(master, job)["counters"]["returned"] == 8, "what was returned before the end still counts"


def test_retry_of_a_running_job_changes_nothing_and_of_a_completed_one_is_refused(master: Master) -> None:
    job = master.submit(1, quorum=1)
    before = document_of(master, job)
    retry(master, job)
    assert document_of(master, job) == before
    turn(master.volunteer(), set())
    with pytest.raises(Conflict, match="completed"):
        retry(master, job)


def test_a_master_that_dies_while_it_opens_a_job_again_loses_nothing(master: Master, settings: Settings) -> None:
    job = master.submit(2, quorum=1, retries=1)
    volunteer = master.volunteer()
    turn(volunteer, {0, 1})
    assert document_of(master, job)["state"] == "failed"
    master.store.jobs.run_again(job)  # … and here it died
    turn(volunteer, set())
    housekeep(master, settings)
    turn(volunteer, set())
    assert document_of(master, job)["state"] == "completed"


def test_a_sweep_that_comes_too_late_cancels_no_job_that_runs_again(master: Master, settings: Settings) -> None:
    job = master.submit(3, quorum=1, retries=1)
    volunteer = master.volunteer()
    turn(volunteer, {0, 1, 2})
    retry(master, job)
    master.store.chunks.cancel_open(job)  # housekeeping, which had seen the job ended
    master.store.jobs.set_swept(job)
    for _ in range(3):
        housekeep(master, settings)
    turn(volunteer, set())
    assert document_of(master, job)["state"] == "completed"


def test_results_that_never_repeat_are_forgotten_by_a_retry(master: Master, settings: Settings) -> None:
    job = master.submit(1, quorum=2)
    volunteers = [master.volunteer(lambda _, n=n: b"%d" % n) for n in range(8)]  # type: ignore[misc]
    for volunteer in volunteers:
        volunteer.work(1)
        volunteer.work(0)
    housekeep(master, settings)
    assert "differs from run to run" in document_of(master, job)["error"]
    retry(master, job)
    for volunteer in volunteers[:2]:
        volunteer.program = double
        turn(volunteer, set())
    assert document_of(master, job)["state"] == "completed"


# --- a machine to blame -----------------------------------------------------------------------------------------------


def test_a_machine_on_which_chunks_fail_that_others_complete_gets_no_more(master: Master, settings: Settings) -> None:
    job = master.submit(12, quorum=1)
    broken, sound = master.volunteer(), master.volunteer()
    turn(broken, set(range(12)), want=3)
    turn(sound, set(), want=3)
    answer = broken.send(broken.request(3))
    assert answer.leases == []
    assert "this machine is to blame: 3 chunks of job" in answer.why_idle and "other machines" in answer.why_idle
    assert document_of(master, job)["state"] == "running"
    assert faults_of(master.store.clients.by_id(broken.id) or {}) == [answer.why_idle], "its page says so too"
    assert faults_of(master.store.clients.by_id(sound.id) or {}) == []

    broken.session, broken.seq = "mended", 0
    assert len(broken.send(broken.request(2)).leases) == 2, "restarted after it was mended"
    broken.compute()
    for volunteer in (broken, sound):
        turn(volunteer, set())
    assert document_of(master, job)["state"] == "completed"
    housekeep(master, settings)
    client = master.store.clients.by_id(broken.id)
    assert client is not None and client["counters"]["jobs"] == {}, "what was counted of an ended job is forgotten"


def test_a_good_machine_with_a_few_failures_goes_on(master: Master) -> None:
    master.submit(40, quorum=1)
    good, other = master.volunteer(), master.volunteer()
    turn(good, {0, 1, 2}, want=20)
    turn(other, set(), want=3)
    assert good.send(good.request(1)).leases


def test_a_chunk_that_failed_on_all_machines_is_tried_again_while_others_run(
    master: Master, settings: Settings
) -> None:
    master.submit(1_000_000, quorum=1)
    only = master.volunteer()
    turn(only, {0}, want=1)
    only.send(only.request(2))
    assert {lease.index for lease in only.held.values()} == {1, 2}
    housekeep(master, settings)
    assert [lease.index for lease in only.send(only.request(1)).leases] == [0]
