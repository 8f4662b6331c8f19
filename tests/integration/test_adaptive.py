"""Single results, checked by chance: who is new always, who is known seldom, who was found wrong not at all."""

from collections import Counter
from pathlib import Path

import pytest

from dockercomp.machine.configuration import ConfigurationError
from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import VerifySpec
from server import lifecycle
from server.housekeeping import Housekeeping
from server.lifecycle import Chunk
from server.settings import Settings, read_secrets
from server.settings import read as read_settings
from server.store import Store, schema
from server.store.chunks import _leases_of
from server.store.connection import Document
from tests.integration.simulated import Master, Volunteer

ADAPTIVE = VerifySpec(policy="adaptive")


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def known(volunteer: Volunteer, job: str, agreed: int = 1000) -> None:
    """Give a client a long good record."""
    fields = {"counters.agreed": agreed, f"counters.jobs.{job}.agreed": agreed}
    volunteer.master.store.clients.count([(volunteer.id, {"valid": agreed}, fields)])


def tried(master: Master, job: str) -> None:
    """The job's first chunks have agreed."""
    master.store.jobs.count(job, {"confirmed": 3})


def client_of(volunteer: Volunteer) -> Document:
    found = volunteer.master.store.clients.by_id(volunteer.id)
    assert found is not None
    return found


def job_of(master: Master, job: str) -> Document:
    found = master.store.jobs.by_id(job)
    assert found is not None
    return found


def chunks_of(master: Master, job: str) -> list[Chunk]:
    return master.store.chunks.page(job, 0, "", "", 5000)


def test_a_new_clients_results_are_all_checked_by_another(master: Master) -> None:
    job = master.submit(5, verify=ADAPTIVE)
    alone = master.volunteer()
    for _ in range(4):
        alone.work()
    assert all(chunk.state == "open" and chunk.quorum == 2 for chunk in chunks_of(master, job))
    other = master.volunteer()
    for _ in range(3):
        other.work()
    assert all(lifecycle.confirmed(chunk) for chunk in chunks_of(master, job))
    assert job_of(master, job)["state"] == "completed"
    for volunteer in (alone, other):
        counters = client_of(volunteer)["counters"]
        assert (counters["agreed"], counters["valid"]) == (5, 5)
    assert job_of(master, job)["counters"]["confirmed"] == 5


def test_a_known_clients_results_are_checked_at_the_floor(master: Master) -> None:
    job = master.submit(600, verify=VerifySpec(policy="adaptive", floor=0.1))
    first, second = master.volunteer(), master.volunteer()
    tried(master, job)
    for volunteer in (first, second):
        known(volunteer, job)
    for _ in range(8):
        first.work(100)
    states = Counter((chunk.state, chunk.quorum) for chunk in chunks_of(master, job))
    assert states["accepted", 1] + states["open", 2] == 600
    assert 20 < states["open", 2] < 120
    for _ in range(5):
        second.work(200)
    found = chunks_of(master, job)
    assert {chunk.state for chunk in found} == {"accepted"}
    soles, closing = [lifecycle.sole(chunk) for chunk in found], 1
    assert Counter(soles) == {first.id: states["accepted", 1] - closing, "": states["open", 2] + closing}
    raw = master.store.chunks._chunks
    assert raw.count_documents({"job": job, "sole": first.id}) == states["accepted", 1] - closing
    assert raw.count_documents({"job": job, "known": True}) == states["open", 2] + closing


def test_whether_a_result_is_checked_is_drawn_once(master: Master) -> None:
    """A worker that reports again, before it heard of the acknowledgement, does not draw again."""
    job = master.submit(40, verify=VerifySpec(policy="adaptive", floor=0.5))
    tried(master, job)
    client = master.volunteer()
    known(client, job)
    client.work(40)
    request = client.request(0)
    client.send(request)
    before = {chunk.id: (chunk.state, chunk.quorum) for chunk in chunks_of(master, job)}
    client.results = {report.lease: report for report in request.results}
    client.send(request)
    client.send(client.request(0))
    assert before == {chunk.id: (chunk.state, chunk.quorum) for chunk in chunks_of(master, job)}
    assert 5 < sum(quorum == 2 for _, quorum in before.values()) < 35


def test_a_lease_does_not_tell_whether_it_is_a_check(master: Master) -> None:
    master.submit(4, verify=ADAPTIVE)
    first, second = master.volunteer(), master.volunteer()
    fresh = first.send(first.request(2)).leases
    first.compute()
    first.send(first.request(0))
    checks = second.send(second.request(2)).leases
    assert {lease.index for lease in checks} == {lease.index for lease in fresh}

    def shape(lease: Lease) -> list[tuple[str, str]]:
        said = {name: getattr(lease, name) for name in lease.__struct_fields__}
        said["id"] = [len(part) for part in lease.id.split(".")]
        varying = ("index", "start", "stop", "deadline_s")
        return [(name, repr(value)) for name, value in said.items() if name not in varying]

    assert [shape(lease) for lease in fresh] == [shape(lease) for lease in checks]


def test_a_liar_among_new_clients_is_found_and_gets_no_more_of_the_job(master: Master, settings: Settings) -> None:
    job = master.submit(60, verify=ADAPTIVE)
    liar, first, second = master.volunteer(lambda _: b"lie"), master.volunteer(), master.volunteer()
    for _ in range(20):
        for volunteer in (liar, first, second):
            volunteer.work(6)
        if client_of(liar).get("findings"):
            break
    found = client_of(liar)
    assert "outvoted" in found["findings"][job]["reason"] and found["findings"][job]["at"] > 0
    assert found["counters"]["agreed"] == 0 and found["counters"]["wrong"] > 0
    liar.held.clear()
    liar.results.clear()
    answer = liar.work(6)
    assert answer.leases == [] and "found wrong in this job" in answer.why_idle
    wrong = master.store.chunks._chunks.find_one({"job": job, "wrong_clients": liar.id})
    assert wrong is not None
    housekeeping = Housekeeping(master.store, settings)
    for _ in range(30):
        for volunteer in (first, second):
            volunteer.work(20)
        housekeeping.round(master.store.duties.now())
    digests = {chunk.digest for chunk in chunks_of(master, job)}
    assert job_of(master, job)["state"] == "completed" and len(digests) == 60


def test_a_reducers_result_is_always_checked(master: Master) -> None:
    job = master.submit(20, verify=ADAPTIVE, reduce=True)
    tried(master, job)
    first, second = master.volunteer(), master.volunteer()
    for volunteer in (first, second):
        known(volunteer, job)
    for _ in range(12):
        for volunteer in (first, second):
            volunteer.work(20)
    (reducer,) = master.store.chunks.page(job, 1, "", "", 10)
    assert (reducer.state, reducer.quorum, len(reducer.replicas)) == ("accepted", 2, 2)
    assert job_of(master, job)["state"] == "completed"


def test_a_result_of_a_trusted_client_decides(master: Master) -> None:
    job = master.submit(5, verify=VerifySpec(policy="quorum", quorum=3))
    mine = master.volunteer(token=master.token_of("ada", trusted=True))
    mine.work(5)
    mine.work(0)
    assert {chunk.state for chunk in chunks_of(master, job)} == {"accepted"}
    adaptive = master.submit(5, verify=ADAPTIVE)
    mine.work(5)
    mine.work(0)
    assert [lifecycle.sole(chunk) for chunk in chunks_of(master, adaptive)] == [""] * 5


def test_late_and_failed_results_cost_agreements(master: Master) -> None:
    job = master.submit(3, quorum=1)
    late = master.volunteer()
    late.work(3)
    late.results.clear()
    late.work(0)
    counters = client_of(late)["counters"]
    assert counters["late"] == 3 and counters["jobs"][job]["late"] == 3
    returning = master.volunteer()
    returning.work(3)
    for lease, report in returning.results.items():
        returning.results[lease] = type(report)(lease=lease, outcome="returned")
    returning.work(0)
    assert "late" not in client_of(returning)["counters"], "what is given back is nobody's fault"


def test_an_owners_clients_share_a_record(master: Master) -> None:
    first, second = master.volunteer(), master.volunteer()
    alone = master.volunteer(token=master.token_of("solitary"))
    known(first, "j1", agreed=40)
    master.store.clients.count([(second.id, {"wrong": 2, "faults": 1}, {})])
    master.store.clients.sum_up_owners()
    assert client_of(second)["owner_record"] == {"agreed": 40, "wrong": 2, "faults": 1, "late": 0}
    assert client_of(first)["owner_record"] == client_of(second)["owner_record"]
    assert "owner_record" not in client_of(alone)


def test_nothing_is_checked_twice_by_one_client_and_all_of_a_big_job_is_right(master: Master) -> None:
    job = master.submit(300, verify=ADAPTIVE, reduce=True)
    pool = [master.volunteer() for _ in range(4)]
    for _ in range(60):
        for volunteer in pool:
            volunteer.work(12)
        if job_of(master, job)["state"] != "running":
            break
    assert job_of(master, job)["state"] == "completed"
    for chunk in chunks_of(master, job):
        clients = [r.client for r in chunk.replicas if r.state == "returned"]
        assert len(clients) == len(set(clients)) == chunk.quorum
    returned = sum(len(chunk.replicas) for chunk in chunks_of(master, job))
    assert returned < 2 * 300


def test_the_index_of_leases_of_an_earlier_version_gives_way(store: Store, settings: Settings) -> None:
    chunks = store.chunks._chunks
    chunks.drop_index("leased")
    chunks.create_index("leases", name="leases", partialFilterExpression={"state": "open"})
    schema.apply(chunks.database, settings.mongo_uri)
    assert {"leased", "sole", "known", "wrong", "differs"} <= chunks.index_information().keys() - {"leases"}


def test_a_client_finds_its_leases_without_reading_those_of_others(master: Master) -> None:
    master.submit(300, verify=ADAPTIVE)
    pool = [master.volunteer() for _ in range(5)]
    for volunteer in pool:
        volunteer.work(60)
    query = _leases_of(sorted(volunteer.id for volunteer in pool)[2])
    read = master.store.chunks._chunks.find(query).explain()["executionStats"]
    assert (read["totalDocsExamined"], read["nReturned"]) == (60, 60)


def test_the_masters_of_an_instance_draw_alike_and_others_do_not(tmp_path: Path) -> None:
    first = read_secrets(tmp_path / "one")
    assert first.draws == read_secrets(tmp_path / "one").draws != read_secrets(tmp_path / "two").draws
    assert first.draws != first.signing_seed


@pytest.mark.parametrize(("said", "read"), [("", "client"), ("owner", "owner"), ("address", "address")])
def test_the_admins_independence_is_read(said: str, read: str, tmp_path: Path) -> None:
    environ = {"DC_HOME": str(tmp_path), **({"DC_INDEPENDENT": said} if said else {})}
    assert read_settings(environ).independent == read
    with pytest.raises(ConfigurationError, match="client, owner or address"):
        read_settings({**environ, "DC_INDEPENDENT": "planet"})
