"""The end of a job: slow chunks are doubled, what is left is dealt by speed, and how long it takes is said."""

import msgspec
import pytest

from dockercomp.protocol.messages import SyncAnswer
from server import describing, measuring
from server.lifecycle import Chunk
from server.measuring import Measuring
from server.store import Store
from tests.integration.simulated import Master, Volunteer
from tests.integration.test_endings import document_of, turn


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def measure(master: Master, later_s: float = 0.0) -> float:
    now = master.store.duties.now() + later_s
    Measuring(master.store, 15 + later_s).measure(master.store.jobs.running(), now)
    return now


def chunk_of(master: Master, job: str, index: int) -> Chunk:
    found = master.store.chunks.by_id(f"{job}.0.{index:012d}")
    assert found is not None
    return found


def finish(volunteer: Volunteer) -> SyncAnswer:
    volunteer.compute()
    return volunteer.send(volunteer.request(0))


def tail(master: Master, quorum: int) -> tuple[str, list[Volunteer]]:
    """A job of six chunks of which the last one is with as many slow clients as it needs, and one idle client."""
    job = master.submit(6, quorum=quorum)
    clients = [master.volunteer() for _ in range(quorum + 1)]
    for client in [*clients[:quorum], *clients[:quorum]]:
        client.send(client.request(10))
        kept = {lease.id: lease for lease in client.held.values() if lease.index == 5}
        client.held = {lease: each for lease, each in client.held.items() if lease not in kept}
        client.compute()
        client.held = kept
        client.send(client.request(0))
    assert all([lease.index for lease in client.held.values()] == [5] for client in clients[:quorum])
    return job, clients


@pytest.mark.parametrize("quorum", [1, 2])
def test_a_slow_chunk_goes_to_an_idle_client_too_and_the_first_results_win(master: Master, quorum: int) -> None:
    job, clients = tail(master, quorum)
    idle = clients[-1]
    measure(master)
    assert idle.send(idle.request(1)).leases == [], "it has not run for long"
    measure(master, later_s=600)
    assert document_of(master, job)["slow"] == [f"{job}.0.000000000005"]
    assert [lease.index for lease in idle.send(idle.request(3)).leases] == [5]
    assert clients[0].send(clients[0].request(1)).leases == [], "no client has a chunk twice"

    late = clients[0]
    for client in [*clients[1:quorum], idle]:
        finish(client)
    assert document_of(master, job)["state"] == "completed"
    chunk = chunk_of(master, job, 5)
    assert chunk.state == "accepted" and not any(r.wrong for r in chunk.replicas)
    assert late.send(late.request(0)).cancelled, "the other lease is taken back"


def test_a_chunk_is_doubled_once(master: Master) -> None:
    job, clients = tail(master, 1)
    first, second = clients[1], master.volunteer()
    measure(master, later_s=600)
    assert first.send(first.request(5)).leases
    assert second.send(second.request(5)).leases == []
    measure(master, later_s=600)
    assert document_of(master, job)["slow"] == []


def test_nothing_is_doubled_while_there_is_other_work(master: Master) -> None:
    job = master.submit(100, quorum=1)
    slow, other = master.volunteer(), master.volunteer()
    turn(slow, set(), want=5)
    slow.send(slow.request(1))
    measure(master, later_s=600)
    assert not document_of(master, job).get("slow")
    assert 5 not in [lease.index for lease in other.send(other.request(3)).leases]


def test_a_doubled_chunk_that_is_lost_is_not_handed_out_a_third_time(master: Master) -> None:
    job, clients = tail(master, 1)
    measure(master, later_s=600)
    clients[1].send(clients[1].request(1))
    clients[1].held.clear()
    clients[1].send(clients[1].request(0))  # it gives the second lease up
    assert chunk_of(master, job, 5).need == 0, "the first one still runs"
    finish(clients[0])
    assert document_of(master, job)["state"] == "completed"


def bring(volunteer: Volunteer, seconds: float, want: int) -> None:
    """Run so many chunks that take so many seconds each."""
    volunteer.send(volunteer.request(want))
    volunteer.compute()
    volunteer.results = {
        lease: msgspec.structs.replace(result, wall_s=seconds) for lease, result in volunteer.results.items()
    }
    volunteer.send(volunteer.request(0))


def test_what_is_left_is_dealt_by_speed(master: Master) -> None:
    master.submit(120, quorum=1)
    fast, slow = master.volunteer(), master.volunteer()
    bring(fast, 1.0, 10)
    bring(slow, 9.0, 10)
    measure(master)
    assert len(slow.send(slow.request(50)).leases) == 10
    assert len(fast.send(fast.request(200)).leases) == 81, "nine tenths of the 90 that are left"


def test_a_range_of_the_time_left_is_shown(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    job = master.submit(400, quorum=1)
    volunteer = master.volunteer()
    monkeypatch.setattr(measuring.eta, "due", lambda *_: True)
    for second in range(0, 50, 10):
        bring(volunteer, 1.0, 20)
        measure(master, later_s=second)
    pool = master.store.clients.alive_since(0)
    view = describing.job(document_of(master, job), pool)
    assert view.eta_low_s is not None and view.eta_high_s is not None
    assert view.eta_low_s < 150 < view.eta_high_s, "300 left at 2 a second"
    assert describing.job(document_of(master, job), []).eta_low_s is None, "nobody works on it"
