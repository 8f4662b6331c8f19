"""How jobs speed up is learnt from what workers report, counted once, and told to others with that kind of machine."""

import time

import msgspec
import pytest

from dockercomp.protocol.errors import Unavailable
from dockercomp.protocol.messages import JobPoints, Machine, ResultReport
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.speedup import fit
from dockercomp.protocol.views import SubmitRequest
from server.learning import MOST_KINDS, Learning, kind_of, speedups_of
from server.removal import KEPT_S, Removal
from server.sources import Sources
from server.store import Store
from server.store.curves import MOST_WIDTHS, Curve, Curves, curve_id
from tests.integration.simulated import MACHINE, Master, Volunteer
from tests.integration.test_endings import document_of

SERIAL = 0.2


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def seconds(width: float) -> float:
    """What a run takes whose fifth part is serial."""
    return 10 * (SERIAL + (1 - SERIAL) / width)


def timed(volunteer: Volunteer, width: float, wall_s: float = 0.0) -> None:
    """What it computed was run with so many CPUs."""
    for lease, report in volunteer.results.items():
        volunteer.results[lease] = msgspec.structs.replace(
            report, width=width, wall_s=wall_s or seconds(width), cpu_s=10.0
        )


def run(master: Master, volunteer: Volunteer, width: float, chunks: int) -> None:
    volunteer.work(chunks)
    timed(volunteer, width)
    volunteer.work(0)
    Learning(master.store).note()


def told(points: list[JobPoints], job: str, stage: int = 0) -> dict[float, int]:
    """Runs by width."""
    return {
        each.width: each.runs for found in points if (found.job, found.stage) == (job, stage) for each in found.points
    }


def asks(volunteer: Volunteer, job: str) -> list[JobPoints]:
    """What the next sync of a worker that has this job tells it."""
    return volunteer.send(msgspec.structs.replace(volunteer.request(0), known_jobs=[job])).points


def test_results_with_widths_become_a_curve_that_others_are_told(master: Master) -> None:
    job = master.submit(40, quorum=1)
    for width, chunks in ((1, 6), (2, 6), (4, 6)):
        run(master, master.volunteer(), width, chunks)
    (points,) = asks(master.volunteer(), job)
    assert told([points], job) == {1: 6, 2: 6, 4: 6}
    curve = fit(points.points)
    assert curve is not None and curve.law == "amdahl" and abs(curve.serial - SERIAL) < 1e-6
    (view,) = speedups_of(master.store, document_of(master, job))
    assert (view.stage, view.runs, view.kind) == ("map", 18, "4 CPUs, unknown processor")
    assert [point.cpu_s for point in view.points] == [60, 60, 60]


def test_a_repeated_sync_counts_its_runs_once(master: Master) -> None:
    job = master.submit(10, quorum=1)
    volunteer = master.volunteer()
    volunteer.work(4)
    timed(volunteer, 2)
    request = volunteer.request(0)
    volunteer.send(request)
    volunteer.send(request)
    volunteer.send(msgspec.structs.replace(request, seq=request.seq + 1))
    assert [view.runs for view in speedups_of(master.store, document_of(master, job))] == [4]


def test_runs_that_cannot_be_counted_take_no_result_along(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    job = master.submit(2, quorum=1)
    volunteer = master.volunteer()
    volunteer.work(2)
    timed(volunteer, 2)
    request = volunteer.request(0)
    with monkeypatch.context() as patched:
        patched.setattr(Curves, "add", unreachable)
        with pytest.raises(Unavailable):
            volunteer.send(request)
    assert document_of(master, job)["state"] == "completed", "nobody has to find out later that all is there"
    volunteer.send(request)
    assert document_of(master, job)["counters"]["returned"] == 2


def unreachable(*_: object) -> None:
    raise Unavailable("MongoDB cannot be reached")


def test_nothing_is_told_twice_to_a_session_until_more_is_known(master: Master) -> None:
    job = master.submit(60, quorum=1)
    worker, other = master.volunteer(), master.volunteer()
    run(master, worker, 1, 4)
    assert told(asks(other, job), job) == {1: 4}
    assert asks(other, job) == []
    run(master, worker, 1, 1)  # hardly more than there was
    assert asks(other, job) == []
    run(master, worker, 1, 3)
    assert told(asks(other, job), job) == {1: 8}
    run(master, worker, 2, 1)  # a width that was not known
    assert told(asks(other, job), job) == {1: 8, 2: 1}
    other.session, other.seq = "begun anew", 0
    assert told(asks(other, job), job) == {1: 8, 2: 1}


def test_an_answer_that_was_lost_tells_again(master: Master) -> None:
    job = master.submit(10, quorum=1)
    run(master, master.volunteer(), 1, 3)
    other = master.volunteer()
    request = msgspec.structs.replace(other.request(0), known_jobs=[job])
    assert other.send(request).points == other.send(request).points != []


def test_kinds_of_machines_are_kept_apart(master: Master) -> None:
    job = master.submit(20, quorum=1)
    run(master, master.volunteer(cpu_kind="x86_64 Fast"), 1, 3)
    assert asks(master.volunteer(cpu_kind="x86_64 Slow"), job) == []
    assert told(asks(master.volunteer(cpu_kind="x86_64 Fast"), job), job) == {1: 3}


@pytest.mark.parametrize(
    ("width", "wall_s"),
    [(0.0, 1.0), (0.02, 1.0), (5.0, 1.0), (1.0, 0.0), (1.0, 1e12)],
    ids=["none", "tiny", "too many", "no time", "beyond its limit"],
)
def test_runs_that_tell_nothing_do_not_count(master: Master, width: float, wall_s: float) -> None:
    job = master.submit(4, quorum=1)
    volunteer = master.volunteer()
    volunteer.work(2)
    for lease, report in volunteer.results.items():
        volunteer.results[lease] = msgspec.structs.replace(report, width=width, wall_s=wall_s)
    volunteer.work(0)
    assert speedups_of(master.store, document_of(master, job)) == []


def test_what_a_marked_client_or_a_failed_run_says_does_not_count(master: Master) -> None:
    job = master.submit(10, quorum=1)
    liar, unlucky = master.volunteer(), master.volunteer()
    liar.work(3)
    timed(liar, 2)
    master.store.clients.found_wrong(liar.id, "an earlier job", "outvoted")
    liar.work(0)
    unlucky.send(unlucky.request(1))
    unlucky.results = {
        lease: ResultReport(lease=lease, outcome="returned", width=2, wall_s=5) for lease in unlucky.held
    }
    unlucky.held.clear()
    unlucky.work(0)
    assert speedups_of(master.store, document_of(master, job)) == []


def test_an_odd_machine_is_a_kind_too() -> None:
    for machine in (None, {}, {"cpus": "eight", "cpu_kind": 5}, msgspec.to_builtins(MACHINE)):
        assert kind_of({"_id": "c", "machine": machine})


def test_a_later_job_of_the_same_recipe_begins_with_what_is_known(master: Master) -> None:
    first = master.submit(8, quorum=1)
    worker = master.volunteer()
    run(master, worker, 1, 4)
    run(master, worker, 4, 4)
    assert document_of(master, first)["state"] == "completed"
    # Nothing is reused of its results, so that it runs: what is known of its speed does not depend on that.
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=100, stop=110, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="none", quorum=1),
        reuse=False,
    )
    second = str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])
    of_another = str(master.submission.submit("eve", SubmitRequest(spec=spec), "")["_id"])
    assert told(asks(worker, second), second) == {1: 4, 4: 4}
    assert asks(worker, of_another) == []
    (view,) = speedups_of(master.store, document_of(master, second))
    assert (view.runs, view.earlier_runs) == (8, 8)
    run(master, worker, 1, 2)
    assert [each.runs for each in speedups_of(master.store, document_of(master, first))] == [8]  # only read


def test_what_is_known_of_a_reduce_is_its_own(master: Master) -> None:
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=2, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        reduce=ReduceSpec(command=["cat"]),
        verify=VerifySpec(policy="none", quorum=1),
    )
    job = str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])
    worker = master.volunteer()
    run(master, worker, 1, 2)
    run(master, worker, 2, 1)
    found = speedups_of(master.store, document_of(master, job))
    assert [(view.stage, view.runs) for view in found] == [("map", 2), ("reduce", 1)]


def test_a_removed_job_takes_its_points_along(master: Master) -> None:
    job = master.submit(3, quorum=1)
    run(master, master.volunteer(), 1, 3)
    removal = Removal(master.store, Sources(master.store))
    removal.remove(document_of(master, job))
    assert master.store.curves.of_jobs([job]) == []
    master.store.curves.add([Curve(curve_id(job, 0, "k"), job, 0, "k", "late", [])])
    removal.free_removed(time.time() + KEPT_S + 100)
    assert master.store.curves.of_jobs([job]) == []


def test_widths_and_kinds_are_bounded(master: Master) -> None:
    job = master.submit(1000, quorum=1)
    worker = master.volunteer()
    worker.machine = Machine(hostname="pc", cpus=1000, memory=1 << 33, disk_free=1, platform="linux/amd64")
    for first in range(1, MOST_WIDTHS + 20, 8):
        worker.work(8)
        for width, (lease, report) in enumerate(worker.results.items(), first):
            worker.results[lease] = msgspec.structs.replace(report, width=width, wall_s=1.0)
        worker.work(0)
    Learning(master.store).note()
    (known,) = master.store.curves.of_jobs([job])
    assert MOST_WIDTHS <= len(known.points) < MOST_WIDTHS + 8
    run(master, worker, 1, 3)  # a known width counts on
    (known,) = master.store.curves.of_jobs([job])
    assert known.points[0].runs == 4
    fields = {f"curves.k{number}.0": 1 for number in range(MOST_KINDS)}
    master.store.jobs.note(job, fields)
    run(master, master.volunteer(cpu_kind="one kind too many"), 1, 2)
    assert len(master.store.curves.of_jobs([job])) == 1


def test_noting_leaves_what_was_added_meanwhile(master: Master) -> None:
    job = master.submit(20, quorum=1)
    run(master, master.volunteer(), 1, 2)
    (before,) = master.store.curves.of_jobs([job])
    worker = master.volunteer()
    worker.work(2)
    timed(worker, 1)
    worker.work(0)
    master.store.curves.noted([before])
    assert [each.points[0].runs for each in master.store.curves.changed()] == [4]
    assert Learning(master.store).note() == 1
    assert Learning(master.store).note() == 0
