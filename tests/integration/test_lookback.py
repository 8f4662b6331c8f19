"""Looking back: once a client is found wrong, nothing that rests on its word stays unless others confirm it."""

from collections.abc import Sequence

import pytest

from server import lifecycle
from server.chunk import Chunk
from server.housekeeping import Housekeeping
from server.lookback import LookBack
from server.settings import Settings
from server.store import Store
from server.store.connection import Document
from tests.integration.lookback_parts import Died, Scene, dying, lying, right, truth
from tests.integration.simulated import Volunteer


@pytest.fixture
def scene(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene.on(store, settings, monkeypatch)


def caught(scene: Scene, job: str, *lies: int) -> tuple[Volunteer, Volunteer, Volunteer]:
    """A liar that did chunks 0 to 9 on its word alone, and was outvoted in chunk 10 by two honest clients."""
    scene.checked = {(0, 10)}
    liar, one, two = scene.volunteer(lying(*lies, 10)), scene.volunteer(right), scene.volunteer(right)
    liar.work(11)
    liar.work(0)
    for honest in (one, two):
        honest.work(1)
        honest.work(0)
    assert scene.chunk(job, 10).state == "accepted"
    assert scene.master.store.reviews.any_due(job)
    return liar, one, two


def test_a_mismatch_opens_all_that_rests_on_its_clients_word_and_only_what_others_confirm_stays(scene: Scene) -> None:
    job = scene.submit(20)
    liar, one, two = caught(scene, job, 2, 7)
    scene.look()
    chunks = scene.chunks(job)
    assert [chunk.index for chunk in chunks if chunk.state == "open"] == list(range(10))
    assert scene.complete(job, one, two) == truth(20)
    assert all(lifecycle.confirmed(chunk) for chunk in scene.chunks(job)[:11])
    (finding,) = scene.master.store.findings.of_job(job)
    assert (finding["client"], finding["state"], finding["opened"]) == (liar.id, "done", 10)
    assert finding["chunks"] == [scene.chunk(job, 10).id] and sorted(finding["by"]) == sorted([one.id, two.id])


def test_a_client_that_was_found_wrong_is_marked_loses_its_leases_and_gets_no_more_of_the_job(scene: Scene) -> None:
    job = scene.submit(30)
    scene.checked = {(0, 10)}
    liar, one, two = scene.volunteer(lying(10)), scene.volunteer(right), scene.volunteer(right)
    liar.work(11)
    leases = liar.send(liar.request(5)).leases
    for honest in (one, two):
        honest.work(1)
        honest.work(0)
    scene.look()
    answer = liar.send(liar.request(5))
    assert sorted(answer.cancelled) == sorted(lease.id for lease in leases) and answer.leases == []
    assert "found wrong" in answer.why_idle
    assert "outvoted" in scene.client(liar)["marked"] and job in scene.client(liar)["findings"]


def test_what_it_brings_after_its_leases_ended_counts_no_more(scene: Scene) -> None:
    job = scene.submit(30)
    scene.checked = {(0, 10)}
    liar, one, two = scene.volunteer(lying(10)), scene.volunteer(right), scene.volunteer(right)
    liar.work(11)
    late = liar.send(liar.request(5)).leases
    for honest in (one, two):
        honest.work(1)
        honest.work(0)
    scene.look()
    liar.compute()
    liar.work(0)
    assert [scene.chunk(job, lease.index).state for lease in late] == ["open"] * len(late)
    brought = [r for lease in late for r in scene.chunk(job, lease.index).replicas if r.state == "returned"]
    assert late and brought == []


def test_a_failed_canary_opens_them_as_well(scene: Scene) -> None:
    job = scene.submit(60)
    one, two = scene.volunteer(right), scene.volunteer(right)
    liar = scene.master.volunteer(lambda _: b"-1\n", token=scene.master.token_of("elsewhere"))
    scene.checked = {(0, 0), (0, 1)}
    for honest in (one, two):
        honest.work(2)
        honest.work(0)
    scene.canaries = True
    scene.until(lambda: bool(scene.master.store.findings.of_job(job)), liar)
    wrong = [r for chunk in scene.chunks(job) for r in chunk.replicas if r.wrong]
    assert all(r.client == liar.id and r.canary for r in wrong) and wrong
    scene.canaries = False
    assert scene.complete(job, one, two) == truth(60)


def test_an_honest_clients_results_stay_as_they_are(scene: Scene) -> None:
    job = scene.submit(30)
    honest = scene.volunteer(right)
    honest.work(15)
    honest.work(0)
    liar = scene.volunteer(lying(20))
    scene.checked = {(0, 20)}
    liar.work(8)
    liar.work(0)
    before = {chunk.id: chunk.version for chunk in scene.chunks(job)[:15]}
    judge = scene.volunteer(right)
    scene.until(lambda: bool(scene.master.store.findings.of_job(job)), honest, judge)
    assert {chunk.id: chunk.version for chunk in scene.chunks(job)[:15]} == before


def test_a_result_that_two_clients_gave_who_are_both_found_wrong_is_opened_again(scene: Scene) -> None:
    job = scene.submit(20)
    first = scene.volunteer(lying(0, 5))
    second = scene.volunteer(lying(0, 6))
    honest = [scene.volunteer(right) for _ in range(3)]
    scene.checked = {(0, 0), (0, 5), (0, 6)}
    first.work(1)
    first.work(0)
    second.work(1)
    second.work(0)
    assert lifecycle.confirmed(scene.chunk(job, 0)), "two who share a lie confirm each other"
    first.held.clear()
    for each in honest[:1]:
        each.work(4)
        each.work(0)
    first.work(1)
    second.work(1)
    assert scene.complete(job, *honest, first, second) == truth(20)
    assert {each["client"] for each in scene.master.store.findings.of_job(job)} == {first.id, second.id}


def test_a_finding_is_taken_back_when_those_who_outvoted_the_client_are_found_wrong(scene: Scene) -> None:
    job = scene.submit(12)
    honest, others = scene.volunteer(right), [scene.volunteer(right) for _ in range(3)]
    liars = [scene.volunteer(lying(0, 4)), scene.volunteer(lying(0, 5))]
    scene.checked = {(0, 0), (0, 4), (0, 5)}
    honest.work(1)
    honest.work(0)
    for liar in liars:
        liar.work(1)
        liar.work(0)
    scene.look(3)
    assert job in scene.client(honest)["findings"] and "outvoted" in scene.client(honest)["marked"]
    others[0].work(3)
    others[0].work(0)
    liars[0].work(1)
    liars[1].work(1)
    for liar in liars:
        liar.work(0)
    assert scene.complete(job, *others) == truth(12)
    kept = scene.client(honest)
    assert kept["findings"] == {} and not kept["marked"] and kept["counters"]["wrong"] == 0
    assert {each["client"] for each in scene.master.store.findings.of_job(job)} == {liar.id for liar in liars}
    assert scene.chunk(job, 0).digest == next(r.digest for r in scene.chunk(job, 0).replicas if r.client == honest.id)


# --- deaths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", range(8))
def test_a_look_back_that_is_killed_at_any_write_is_completed_by_the_next_holder(
    scene: Scene, settings: Settings, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    job = scene.submit(20)
    _, one, two = caught(scene, job, 2, 7)
    revive = dying(monkeypatch, scene.master.store, writes)
    with pytest.raises(Died):
        LookBack(scene.master.store).round([scene.job(job)])
    revive()
    scene.housekeeping = Housekeeping(scene.master.store, settings)
    assert scene.complete(job, one, two) == truth(20)
    (finding,) = scene.master.store.findings.of_job(job)
    assert finding["state"] == "done" and not scene.job(job).get("reviewing")


def test_what_every_step_of_a_job_asks_is_answered_by_indexes_of_what_is_wrong_alone(scene: Scene) -> None:
    job = scene.submit(60)
    one = scene.volunteer(right)
    one.work(60)
    one.work(0)
    database, store = scene.master.store.database, scene.master.store
    database.command("profile", 2)
    try:
        store.reviews.any_due(job)
        store.reviews.newly_wrong(500)
        store.reviews.changed([job], 500)
    finally:
        database.command("profile", 0)
    looked_at = [each["docsExamined"] for each in database["system.profile"].find({"ns": f"{database.name}.chunks"})]
    assert looked_at == [0, 0, 0]


def test_a_job_does_not_end_between_a_mismatch_and_its_look_back(scene: Scene) -> None:
    job = scene.submit(11)
    caught(scene, job, 2)
    document: Document = scene.job(job)
    assert document["state"] == "running"
    assert not scene.housekeeping._stages.advance(document), "the wrong result of chunk 10 is not followed up yet"


def test_a_chunk_that_changes_during_the_look_back_is_looked_at_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync stores something in the same moment: neither what rests on one word nor what is shared is passed over."""
    job = scene.submit(20)
    _, one, two = caught(scene, job, 2, 7)
    chunks, lost = scene.master.store.chunks, [0]
    real = chunks.compare_and_set

    def overtaken(changes: Sequence[tuple[Chunk, Chunk]], mark: str) -> set[str]:
        lost[0] += 1
        return real(changes[1:] if lost[0] % 2 else changes, mark)

    monkeypatch.setattr(chunks, "compare_and_set", overtaken)
    LookBack(scene.master.store).round([scene.job(job)])
    monkeypatch.undo()
    opened = [chunk for chunk in scene.chunks(job) if chunk.state == "open"]
    doubted = {
        r.doubted for chunk in scene.chunks(job)[:11] for r in chunk.replicas if r.client not in (one.id, two.id)
    }
    assert len(opened) == 10 and doubted == {True}
