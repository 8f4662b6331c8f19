"""Closing checks: a job ends only after each client's unchecked results are closed by one more check."""

import pytest

from dockercomp.protocol.orders import Independence, ReduceSpec, VerifySpec
from server import closing, lifecycle
from server.settings import Settings
from server.store import Store
from tests.integration.lookback_parts import Scene, lying, right, truth


@pytest.fixture
def scene(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene.on(store, settings, monkeypatch)


def test_of_each_clients_single_results_one_is_checked_by_another_before_the_job_ends(scene: Scene) -> None:
    job = scene.submit(20)
    one, two = scene.volunteer(right), scene.volunteer(right)
    for each in (one, two):
        each.work(10)
        each.work(0)
    scene.look()
    assert scene.job(job)["state"] == "running"
    opened = [chunk for chunk in scene.chunks(job) if chunk.state == "open"]
    assert {chunk.replicas[0].client for chunk in opened} == {one.id, two.id} and len(opened) == 2
    assert scene.complete(job, one, two) == truth(20)
    confirmed = [chunk for chunk in scene.chunks(job) if lifecycle.confirmed(chunk)]
    assert [chunk.id for chunk in confirmed] == [chunk.id for chunk in opened], "one check each, and no more"
    assert {each["state"] for each in scene.master.store.closings.of_job(job)} == {"closed"}
    trust = scene.job(job)["trust"]
    assert trust["closed"] and trust["single"] == 18 and trust["results"] == 22


def test_who_lied_in_all_of_its_results_is_found_out_at_the_end(scene: Scene) -> None:
    job = scene.submit(12)
    liar, one, two = scene.volunteer(lying(*range(6))), scene.volunteer(right), scene.volunteer(right)
    liar.work(6)
    liar.work(0)
    assert scene.complete(job, one, two) == truth(12)
    trust = scene.job(job)["trust"]
    assert (trust["clients_wrong"], trust["opened_again"]) == (1, 5)


def test_reducers_begin_once_the_map_is_closed(scene: Scene) -> None:
    job = scene.submit(6, reduce=ReduceSpec(command=["cat"]))
    one, two = scene.volunteer(right), scene.volunteer(right)
    one.work(6)
    one.work(0)
    scene.look()
    assert scene.job(job)["stages"]["1"]["limit"] == 0
    two.work(1)
    two.work(0)
    scene.look()
    assert scene.job(job)["stages"]["1"]["limit"] == 1


@pytest.mark.parametrize("policy", ["none", "quorum"])
def test_other_policies_know_no_closing_checks(scene: Scene, policy: str) -> None:
    job = scene.submit(4, verify=VerifySpec(policy=policy))  # type: ignore[arg-type]
    scene.complete(job, scene.volunteer(right), scene.volunteer(right))
    assert scene.master.store.closings.of_job(job) == []
    assert {len(chunk.replicas) for chunk in scene.chunks(job)} == {1 if policy == "none" else 2}


def test_trusted_clients_are_not_closed(scene: Scene) -> None:
    job = scene.submit(4)
    trusted = scene.master.volunteer(right, token=scene.master.token_of("ada", trusted=True))
    scene.complete(job, trusted)
    assert scene.master.store.closings.of_job(job) == []


@pytest.mark.parametrize("independent", ["client", "owner"])
def test_where_nobody_else_can_check_the_job_ends_after_a_while_and_says_what_is_not_known(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, independent: Independence
) -> None:
    job = scene.submit(5, verify=VerifySpec(policy="adaptive", independent=independent))
    alone = scene.volunteer(right)
    if independent == "owner":
        scene.volunteer(right).work(0)  # of the same owner: it may not
    alone.work(5)
    alone.work(0)
    scene.look(2)
    assert scene.job(job)["state"] == "running"
    monkeypatch.setattr(closing, "WAIT_S", -1.0)
    scene.look(2)
    assert scene.result(job) == truth(5)
    assert [each["state"] for each in scene.master.store.closings.of_job(job)] == ["given up"]
    trust = scene.job(job)["trust"]
    assert not trust["closed"] and trust["high"] == 1.0 and trust["single"] == 5


def test_a_check_that_a_dead_master_asked_for_but_did_not_open_is_opened(scene: Scene) -> None:
    job = scene.submit(4)
    one, two = scene.volunteer(right), scene.volunteer(right)
    one.work(4)
    scene.master.store.closings.ask(job, 0, {one.id: lifecycle.chunk_id(job, 0, 2)})
    one.work(0)
    scene.look()
    assert [chunk.index for chunk in scene.chunks(job) if chunk.state == "open"] == [2]
    assert scene.complete(job, two) == truth(4)


def test_checks_of_other_jobs_and_those_that_a_dead_master_left_without_a_time_hold_nobody_up(store: Store) -> None:
    store.closings.ask("jended", 0, {f"c{number}": f"jended.0.{number:012d}" for number in range(600)})
    store.closings.ask("jmine", 0, {"ca": "jmine.0.000000000000"})
    store.database["closings"].insert_one(
        {
            "_id": "jmine/0/cb",
            "job": "jmine",
            "stage": 0,
            "client": "cb",
            "chunk": "jmine.0.000000000001",
            "state": "asked",
        }
    )
    found = store.closings.asked_before(["jmine"], store.duties.now() + 1)
    assert sorted(each["client"] for each in found) == ["ca", "cb"]
