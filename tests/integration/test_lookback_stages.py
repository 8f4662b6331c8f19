"""What read a result that turned out to be wrong is run anew: reducers, flat and in trees, and other jobs."""

from contextlib import suppress

import msgspec
import pytest
from msgspec.structs import replace

from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import InputFile, SubmitRequest
from server.housekeeping import Housekeeping
from server.lifecycle import Replica
from server.lookback import LookBack
from server.redoing import Redoing
from server.settings import Settings
from server.store import Store
from server.store.connection import Document
from tests.integration.lookback_parts import Died, Scene, dying, lying, right, truth
from tests.integration.simulated import Program, Volunteer


@pytest.fixture
def scene(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene.on(store, settings, monkeypatch)


def read(scene: Scene, lease: Lease) -> bytes:
    """What a reducer's lease reads."""
    job, chunk = scene.job(lease.job), scene.chunk(lease.job, lease.index, lease.stage)
    opened = scene.master.sync._inputs.open(job, msgspec.convert(job["spec"], JobSpec), chunk)
    assert opened is not None
    return opened.read_at(0, opened.size)


def adding(scene: Scene, map_: Program = right) -> Program:
    """Reducers add up."""
    return lambda lease: (
        map_(lease) if lease.stage == 0 else b"%d\n" % sum(int(line) for line in read(scene, lease).split())
    )


def liar_and_others(scene: Scene, *lies: int) -> tuple[Volunteer, Volunteer, Volunteer]:
    first = scene.volunteer(adding(scene, lying(*lies)))
    return first, scene.volunteer(adding(scene)), scene.volunteer(adding(scene))


def unnoticed(scene: Scene, job: str, liar: Volunteer, other: Volunteer) -> bytes:
    """The liar does the whole map, and comes through; reducers are always checked."""
    liar.work(50)
    liar.work(0)
    return scene.complete(job, liar, other)


def find_wrong(scene: Scene, job: str, who: Volunteer) -> None:
    """As if a canary had come back late, and wrong."""
    chunk = scene.chunk(job, 1)
    canary = Replica(
        lease=f"{who.id}.{chunk.id}.late",
        client=who.id,
        owner="lab",
        state="returned",
        deadline=0,
        digest="f" * 64,
        canary=True,
        wrong=True,
    )
    after = replace(chunk, replicas=(*chunk.replicas, canary), version=chunk.version + 1)
    assert scene.master.store.chunks.compare_and_set([(chunk, after)], "late")


def unclosed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without closing checks, so that a liar comes through to the end."""
    monkeypatch.setattr("server.closing.Closing.closed", lambda *_: True)


def test_reducers_that_ran_on_a_wrong_result_run_anew_and_the_completed_job_gives_another_result(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    unclosed(scene, monkeypatch)
    job = scene.submit(10, reduce=ReduceSpec(command=["sum"]))
    liar, one, two = liar_and_others(scene, 4)
    assert unnoticed(scene, job, liar, one) == b"%d\n" % (sum(range(10)) - 4 - 1)
    first = scene.job(job)["result"]
    find_wrong(scene, job, liar)
    scene.look()
    withdrawn = scene.job(job)
    assert (withdrawn["state"], withdrawn["edition"]) == ("running", 2) and "result" not in withdrawn
    assert withdrawn["superseded"][0]["result"] == first and liar.id in withdrawn["withdrawn"]
    assert scene.complete(job, one, two) == b"%d\n" % sum(range(10))
    assert scene.job(job)["edition"] == 2


def test_a_completed_job_whose_results_are_all_confirmed_gives_the_same_result_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    unclosed(scene, monkeypatch)
    job = scene.submit(10, reduce=ReduceSpec(command=["sum"]))
    liar, one, two = liar_and_others(scene)
    before = unnoticed(scene, job, liar, one)
    reducer = scene.chunk(job, 0, 1)
    find_wrong(scene, job, liar)
    scene.look()
    assert scene.job(job)["state"] == "running"
    assert scene.complete(job, one, two) == before and scene.job(job)["edition"] == 2
    after = scene.chunk(job, 0, 1)
    assert after.redone == 0 and {r.lease for r in reducer.replicas} <= {r.lease for r in after.replicas}


def test_what_others_confirmed_of_a_wrong_clients_results_stays(scene: Scene) -> None:
    job = scene.submit(6, verify=VerifySpec(quorum=2))
    liar, one, two = scene.volunteer(lying(0)), scene.volunteer(right), scene.volunteer(right)
    liar.work(6)
    liar.work(0)
    assert scene.complete(job, one, two) == truth(6)
    scene.look(3)
    (finding,) = scene.master.store.findings.of_job(job)
    assert (finding["client"], finding["state"]) == (liar.id, "done")
    returned = [sum(r.state == "returned" for r in chunk.replicas) for chunk in scene.chunks(job)]
    assert returned == [3, 2, 2, 2, 2, 2] and scene.job(job).get("edition", 1) == 1


def test_a_reducer_that_is_running_loses_its_lease_when_what_it_reads_changes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    unclosed(scene, monkeypatch)
    job = scene.submit(6, reduce=ReduceSpec(command=["sum"]))
    liar, one, two = liar_and_others(scene, 3)
    liar.work(6)
    liar.work(0)
    scene.look()
    (lease,) = one.send(one.request(1)).leases
    assert lease.stage == 1
    find_wrong(scene, job, liar)
    scene.look()
    scene.until(lambda: scene.chunk(job, 0, 1).redone > 0, two, scene.volunteer(adding(scene)))
    assert lease.id in one.send(one.request(0)).cancelled
    assert scene.complete(job, one, two) == b"%d\n" % sum(range(6))


@pytest.mark.parametrize("lies", [(9,), (0, 9)])
def test_of_a_tree_only_what_read_a_changed_result_runs_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, lies: tuple[int, ...]
) -> None:
    unclosed(scene, monkeypatch)
    job = scene.submit(12, reduce=ReduceSpec(command=["sum"], fan_in=3))
    liar, one, two = liar_and_others(scene, *lies)
    assert unnoticed(scene, job, liar, one) != b"%d\n" % sum(range(12))
    find_wrong(scene, job, liar)
    scene.look()
    assert scene.complete(job, one, two) == b"%d\n" % sum(range(12))
    redone = {(chunk.stage, chunk.index) for chunk in scene.chunks(job, None) if chunk.redone}
    groups = {(1, lie // 3) for lie in lies} | {(2, group // 3) for group in {lie // 3 for lie in lies}}
    checks = {(4, 0)} if 0 in lies else set()
    assert groups | checks <= redone
    assert not redone & {(1, n) for n in range(4) if (1, n) not in groups}


def test_a_reducer_that_gives_the_same_again_ends_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    unclosed(scene, monkeypatch)

    def largest(map_: Program) -> Program:
        return lambda lease: (
            map_(lease) if lease.stage == 0 else b"%d\n" % max(int(line) for line in read(scene, lease).split())
        )

    job = scene.submit(12, reduce=ReduceSpec(command=["max"], fan_in=3))
    liar = scene.volunteer(largest(lying(6)))
    one, two = scene.volunteer(largest(right)), scene.volunteer(largest(right))
    assert unnoticed(scene, job, liar, one) == b"11\n"
    find_wrong(scene, job, liar)
    scene.look()
    assert scene.complete(job, one, two) == b"11\n"
    redone = {(chunk.stage, chunk.index) for chunk in scene.chunks(job, None) if chunk.redone}
    assert redone == {(1, 2)}, "the next stage read the same number, and was left alone"


@pytest.mark.parametrize("fan_in", [0, 3])
@pytest.mark.parametrize("writes", range(0, 12, 2))
def test_a_correction_that_is_killed_at_any_write_is_completed_by_the_next_holder(
    scene: Scene, settings: Settings, monkeypatch: pytest.MonkeyPatch, writes: int, fan_in: int
) -> None:
    unclosed(scene, monkeypatch)
    job = scene.submit(9, reduce=ReduceSpec(command=["sum"], fan_in=fan_in))
    liar, one, two = liar_and_others(scene, 4)
    unnoticed(scene, job, liar, one)
    find_wrong(scene, job, liar)
    revive = dying(monkeypatch, scene.master.store, writes)
    for _ in range(3):
        with suppress(Died):
            LookBack(scene.master.store).round(scene.master.store.jobs.running())
    left = scene.master.store.findings.of_job(job)
    revive()
    scene.look()
    for each in (one, two, one, two):
        each.work(20)
    revive = dying(monkeypatch, scene.master.store, writes)
    with suppress(Died):
        Redoing(scene.master.store, scene.housekeeping._stages).round(scene.master.store.jobs.running())
    revive()
    scene.housekeeping = Housekeeping(scene.master.store, settings)
    assert scene.complete(job, one, two) == b"%d\n" % sum(range(9)), left


def test_results_that_another_job_took_over_are_computed_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    unclosed(scene, monkeypatch)
    earlier = scene.submit(8, reuse=True)
    liar, one, two = scene.volunteer(lying(5)), scene.volunteer(right), scene.volunteer(right)
    scene.complete(earlier, liar)
    later = scene.submit(8, reuse=True)
    scene.look(2)
    assert scene.result(later) != truth(8) and scene.job(later)["reused"] == 8
    find_wrong(scene, earlier, liar)
    scene.look()
    assert scene.complete(earlier, one, two) == truth(8)
    scene.look(2)
    assert scene.complete(later, one, two) == truth(8)
    assert scene.job(later)["edition"] == 2 and earlier in scene.job(later)["withdrawn"]
    redone = [chunk.index for chunk in scene.chunks(later) if chunk.redone]
    assert redone == [5]


def test_who_read_the_whole_result_is_told_that_it_was_wrong(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    unclosed(scene, monkeypatch)
    earlier = scene.submit(8)
    liar, one, two = scene.volunteer(lying(5)), scene.volunteer(right), scene.volunteer(right)
    scene.complete(earlier, liar)
    spec = JobSpec(
        name="next",
        image="i",
        input=InputSpec(split="lines"),
        map=ProgramSpec(command=["cat"]),
        verify=VerifySpec(policy="none"),
    )
    asked = SubmitRequest(spec=spec, inputs=[InputFile(name="x", job=earlier)])
    later = str(scene.master.submission.submit("eve", asked, "")["_id"])
    find_wrong(scene, earlier, liar)
    scene.look()
    assert "warning" not in scene.job(later), "nothing has turned out to be wrong yet"
    scene.complete(earlier, one, two)
    scene.look(2)
    warned: Document = scene.job(later)
    assert earlier in warned["warning"] and "submit this job again" in warned["warning"]
