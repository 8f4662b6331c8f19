"""Why a job, a chunk or a client is as it is: the sentence names the reason and the way out."""

import pytest

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.messages import Failure
from dockercomp.protocol.orders import VerifySpec
from server.explaining import Explaining
from server.settings import Settings
from server.sources import Sources
from server.store import Store
from tests.integration.simulated import Master
from tests.integration.test_agreement import says
from tests.integration.test_agreement import submit as submit_verified
from tests.integration.test_endings import document_of, housekeep, turn


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def why(master: Master, subject: str, silent_after_s: float = 15) -> str:
    return Explaining(master.store, Sources(master.store), silent_after_s).explain(subject).sentence


def facts(master: Master, subject: str) -> str:
    return "\n".join(Explaining(master.store, Sources(master.store), 15).explain(subject).facts)


def test_a_job_without_clients_or_with_too_few(master: Master) -> None:
    job = master.submit(2)
    assert "no client is connected: start a worker" in why(master, job)
    master.volunteer().work(0)
    assert "a quorum of 2 needs 2 different clients, and 1 can run this job now" in why(master, job)
    other = master.volunteer()
    other.work(0)
    assert "waits for a client to ask for work" in why(master, job)
    other.send(other.request(1))
    assert why(master, job) == "it runs: 1 chunks are with clients now"


def test_a_job_at_its_end(master: Master, settings: Settings) -> None:
    job = master.submit(2, quorum=1, retries=1)
    turn(master.volunteer(), {1})
    assert why(master, job).startswith("it failed: 1 of 2 chunks failed: number 1.")
    assert f"dockercomp retry {job}" in why(master, job)
    assert "given up: 1 chunks, of number 1" in facts(master, job)
    done = master.submit(1, quorum=1)
    housekeep(master, settings)  # what the failed job has computed is taken over
    assert f"dockercomp results {done}" in why(master, done)
    cancelled = master.submit(1, quorum=1)
    master.store.jobs.end(cancelled, "cancelled", {"error": "cancelled by ada"})
    assert why(master, cancelled) == f"it was cancelled by ada; to go on with it: dockercomp retry {cancelled}"


def test_a_chunk_in_each_of_its_states(master: Master, settings: Settings) -> None:
    job = master.submit(1000)
    first = master.volunteer()
    first.send(first.request(1))
    chunk = f"{job}.0.0"
    assert why(master, f"{job}.0.5") == (
        "it was not handed out yet: chunks are handed out in order, and 4 are before it"
    )
    assert "there is no such chunk: the stage has 1000" in why(master, f"{job}.0.1000")
    first.compute()
    first.send(first.request(0))
    assert "it waits for another client: 1 of 2 equal results are there" in why(master, chunk)
    second = master.volunteer()
    assert "1 of 2 equal results are there, and 1 can run it" in why(master, chunk)
    second.send(second.request(1))
    assert why(master, chunk) == f"it runs on {second.id}; 1 of 2 equal results are there"
    second.compute()
    second.send(second.request(0))
    assert why(master, chunk) == f"it is accepted: {first.id} and {second.id} agreed"
    assert "input: number 0" in facts(master, chunk)
    master.store.jobs.end(job, "cancelled", {"error": ""})
    first.send(first.request(1))
    housekeep(master, settings)


def test_where_results_differ_is_said(master: Master) -> None:
    job = submit_verified(master, VerifySpec(compare="json"))
    volunteers = [master.volunteer(says(data)) for data in (b'{"a": [1, 2]}', b'{"a": [1, 3]}', b'{"a":[1,3]}')]
    for volunteer in volunteers[:2]:
        volunteer.work(1)
        volunteer.work(0)
    chunk = f"{job}.0.0"
    assert why(master, chunk).startswith("its results differ (1 of 2") or "connect one more" in why(master, chunk)
    assert "at .a[1]: 2 and 3" in facts(master, chunk)
    volunteers[2].work(1)
    volunteers[2].work(0)
    assert f"{volunteers[0].id} had another result and was outvoted" in why(master, chunk)
    assert "at .a[1]: 3 and 2" in facts(master, chunk)


def test_a_chunk_that_failed_everywhere(master: Master) -> None:
    job = master.submit(5, quorum=1)
    only = master.volunteer()
    turn(only, {0}, want=1)
    assert "failed on every client that can run it" in why(master, f"{job}.0.0")
    assert "failed (exit): exit code 3: boom" in facts(master, f"{job}.0.0")


def test_a_client_and_what_keeps_it_idle(master: Master) -> None:
    volunteer = master.volunteer()
    volunteer.work(0)
    assert why(master, volunteer.id) == "it is idle because no job is running"
    assert why(master, volunteer.id, silent_after_s=-60).startswith("it is silent")
    name = str((master.store.clients.by_id(volunteer.id) or {})["name"])
    assert why(master, name)
    job = master.submit(5, quorum=1)
    volunteer.send(volunteer.request(2))
    volunteer.send(volunteer.request(0))
    assert why(master, volunteer.id) == "it works: it holds 2 chunks"
    volunteer.fail(Failure(reason="exit", message="no"))
    other = master.volunteer()
    master.store.jobs.note(job, {"image.platform": "linux/arm64"})
    other.work(0)
    assert "needs linux/arm64, this client is linux/amd64" in why(master, other.id)
    master.store.clients.retire_one(other.id)
    assert "has to enrol again" in why(master, other.id)
    assert document_of(master, job)["state"] == "running"


@pytest.mark.parametrize("subject", ["j000", "c000", "nobody", "j000.0.1", "../etc"])
def test_what_is_not_there(master: Master, subject: str) -> None:
    with pytest.raises(NotFound):
        why(master, subject)
