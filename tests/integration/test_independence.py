"""Replicas of a chunk by different owners, addresses and kinds of CPU: preferred always, required where asked for."""

import pytest

from dockercomp.protocol.messages import Failure
from dockercomp.protocol.orders import VerifySpec
from server import describing, lifecycle
from server.explaining import Explaining
from server.housekeeping import Housekeeping
from server.scheduling import block_of
from server.settings import Settings
from server.sources import Sources
from server.store import Store
from server.store.connection import Document
from tests.integration.simulated import Master, Volunteer
from tests.integration.test_adaptive import chunks_of, client_of, job_of

TWO = VerifySpec(policy="quorum", quorum=2)


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def pool_of(*volunteers: Volunteer) -> list[Document]:
    return [client_of(volunteer) for volunteer in volunteers]


def test_blocks_of_addresses() -> None:
    assert block_of("192.0.2.77") == block_of("::ffff:192.0.2.1") == "192.0.2.0/24"
    assert block_of("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert block_of("") == block_of("somewhere") == ""


def test_the_more_independent_chunk_is_taken_first(master: Master) -> None:
    job = master.submit(4, verify=TWO)
    theirs = master.volunteer(token=master.token_of("other"), address="198.51.100.1")
    ours, chooser = master.volunteer(), master.volunteer()
    theirs.work(3)
    ours.work(3)
    waiting = [chunk for chunk in chunks_of(master, job) if chunk.need]
    assert sorted(chunk.replicas[0].client for chunk in waiting) == sorted([theirs.id, ours.id])
    chooser.work(1)
    (chunk,) = [c for c in chunks_of(master, job) if any(r.client == chooser.id for r in c.replicas)]
    first, second = chunk.replicas
    assert (first.client, first.owner, first.block) == (theirs.id, "other", "198.51.100.0/24")
    assert (second.owner, second.block) == ("lab", "192.0.2.0/24")
    assert len({first.token, second.token, ""}) == 3


def test_another_opinion_is_left_to_other_owners_while_there_is_fresh_work(master: Master, settings: Settings) -> None:
    job = master.submit(60, verify=TWO)
    ours = [master.volunteer(), master.volunteer()]
    theirs = [master.volunteer(token=master.token_of("other"), address="198.51.100.1") for _ in range(2)]
    master.store.jobs.note(job, {"owners_able": 2})
    for _ in range(4):
        for volunteer in (*ours, *theirs):
            volunteer.work(5)
    twice = [chunk for chunk in chunks_of(master, job) if len(chunk.replicas) == 2]
    assert len(twice) > 10
    assert all({r.owner for r in chunk.replicas} == {"lab", "other"} for chunk in twice)
    for _ in range(20):
        for volunteer in ours:
            volunteer.work(10)
    assert job_of(master, job)["stages"]["0"]["cursor"] == 60
    left = [chunk for chunk in chunks_of(master, job) if chunk.state == "open"]
    others = {volunteer.id for volunteer in theirs}
    assert all(any(r.client in others for r in c.replicas) for c in left), "without fresh work ours do all the others"


def test_of_how_many_owners_the_pool_is_noted(master: Master, settings: Settings) -> None:
    job = master.submit(10, verify=TWO)
    first, _ = master.volunteer(), master.volunteer(token=master.token_of("other"))
    first.work(1)
    Housekeeping(master.store, settings).round(client_of(first)["seen"])
    assert job_of(master, job)["owners_able"] == 2


@pytest.mark.parametrize("asked", ["owner", "address"])
def test_where_it_is_required_nobody_dependent_gets_it_and_that_is_said(
    master: Master, settings: Settings, asked: str
) -> None:
    job = master.submit(4, verify=VerifySpec(policy="quorum", quorum=2, independent=asked))  # type: ignore[arg-type]
    token = "" if asked == "owner" else master.token_of("neighbour")
    first, dependent = master.volunteer(), master.volunteer(token=token, address="192.0.2.9")
    for _ in range(3):
        first.work(4)
        dependent.work(4)
    assert all(chunk.state == "open" and len(chunk.replicas) == 1 for chunk in chunks_of(master, job))
    waiting = describing.why_waiting(job_of(master, job), pool_of(first, dependent))
    assert "different owners" in waiting and "1 can run" in waiting
    explaining = Explaining(master.store, Sources(master.store), settings.silent_after_s)
    assert "shares neither owner nor address" in explaining.explain(f"{job}.0.0").sentence
    stranger = master.volunteer(token=master.token_of("stranger"), address="203.0.113.1")
    assert describing.why_waiting(job_of(master, job), pool_of(first, dependent, stranger)) == ""
    stranger.work(4)
    stranger.work(0)
    assert job_of(master, job)["state"] == "completed"


def test_the_admin_may_require_it_of_every_job(store: Store) -> None:
    from server.inputs import Inputs
    from server.metrics import Metrics
    from server.sync import Sync

    master = Master(store)
    master.sync = Sync(store, Inputs(store), Metrics(), heartbeat_s=5, draws=b"d", independent="owner")
    job = master.submit(2, verify=TWO)
    for volunteer in (master.volunteer(), master.volunteer()):
        volunteer.work(2)
        volunteer.work(0)
    assert {chunk.state for chunk in chunks_of(master, job)} == {"open"}


def test_results_are_compared_within_a_kind_of_cpu_that_is_freed_when_it_is_gone(
    master: Master, settings: Settings
) -> None:
    job = master.submit(3, verify=VerifySpec(policy="quorum", quorum=2, same_cpu=True))
    intel, amd = master.volunteer(cpu_kind="intel"), master.volunteer(cpu_kind="amd")
    silent_on_it = master.volunteer()
    for volunteer in (intel, amd, silent_on_it):
        volunteer.work(3)
        volunteer.work(0)
    assert {(len(chunk.replicas), chunk.cpu_kind) for chunk in chunks_of(master, job)} == {(1, "intel")}
    assert "does not tell" in silent_on_it.work(1).why_idle
    waiting = describing.why_waiting(job_of(master, job), pool_of(intel, amd))
    assert "of one kind of CPU" in waiting
    housekeeping = Housekeeping(master.store, settings)
    housekeeping.round(client_of(amd)["seen"])
    assert chunks_of(master, job)[0].cpu_kind == "intel", "one of another kind could not agree with anybody either"
    second = master.volunteer(cpu_kind="amd")
    second.work(0)
    housekeeping.round(client_of(second)["seen"])
    assert chunks_of(master, job)[0].cpu_kind == "", "nobody else of its kind is there"
    for volunteer in (amd, second):
        volunteer.work(3)
        volunteer.work(0)
    found = chunks_of(master, job)
    assert {(chunk.state, chunk.cpu_kind) for chunk in found} == {("accepted", "amd")}
    assert {r.client for chunk in found for r in lifecycle.support(chunk)} == {amd.id, second.id}


def test_who_failed_a_chunk_gets_it_again_where_all_others_share_an_owner_with_its_result(
    master: Master, settings: Settings
) -> None:
    job = master.submit(1, verify=VerifySpec(policy="quorum", quorum=2, independent="owner"))
    first, other = master.volunteer(), master.volunteer(token=master.token_of("other"))
    sibling = master.volunteer()
    first.work(1)
    first.work(0)
    other.send(other.request(1))
    other.fail(Failure(reason="engine", message="a hiccup"))
    other.send(other.request(0))
    assert sibling.send(sibling.request(1)).leases == []
    Housekeeping(master.store, settings).round(client_of(sibling)["seen"])
    other.work(1)
    other.work(0)
    assert [chunk.state for chunk in chunks_of(master, job)] == ["accepted"]
