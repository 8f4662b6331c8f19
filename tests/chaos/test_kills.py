"""Kill -9 in mid-job: the job finishes with the right bytes, and no chunk is counted twice."""

from collections import Counter
from pathlib import Path

import pytest

from dockercomp.machine.home import instance_label
from tests.chaos.conftest import Installation, kill
from tests.chaos.liar import Liar
from worker.engine import Engine

CHUNKS = 30


def expected(chunks: int) -> bytes:
    return "".join(f"{n * n}\n" for n in range(chunks)).encode()


def check(installation: Installation, job: str, chunks: int = CHUNKS) -> None:
    """Right bytes; every chunk accepted once, by two different clients."""
    view = installation.follow(job)
    assert view.state == "completed", view.error
    assert installation.result(job) == expected(chunks)
    assert view.stages[0].accepted == chunks
    with installation.client() as client:
        found = list(client.job(job).chunks())
    assert [chunk.index for chunk in found] == list(range(chunks))
    for chunk in found:
        voters = Counter(replica.client for replica in chunk.replicas if replica.state == "returned")
        assert len(voters) == 2 and max(voters.values()) == 1, chunk


def test_a_worker_is_killed(installation: Installation, tmp_path: Path) -> None:
    job = installation.submit(tmp_path, CHUNKS).id
    installation.follow(job, until_accepted=3)
    home = installation.homes[0]
    kill(installation.pid(home, "worker", "worker"))
    check(installation, job)
    with installation.client() as client:
        assert len(list(client.clients())) == 2, "a restarted worker is the same client"


def test_containers_are_killed(installation: Installation, tmp_path: Path) -> None:
    job = installation.submit(tmp_path, CHUNKS).id
    installation.follow(job, until_accepted=3)
    for home in installation.homes:
        engine = Engine(instance_label(home), installation.engine_host)
        engine.kill(engine.ours()[0])
    check(installation, job)


@pytest.mark.parametrize("program", ["master", "housekeeping", "mongod"])
def test_a_part_of_the_master_is_killed(installation: Installation, tmp_path: Path, program: str) -> None:
    job = installation.submit(tmp_path, CHUNKS).id
    installation.follow(job, until_accepted=3)
    kill(installation.pid(installation.master.home, "server", program))
    check(installation, job)


def test_everything_is_killed_one_after_the_other(installation: Installation, tmp_path: Path) -> None:
    job = installation.submit(tmp_path, 60).id
    for number, (home, name, program) in enumerate(
        [
            (installation.homes[0], "worker", "worker"),
            (installation.master.home, "server", "mongod"),
            (installation.homes[1], "worker", "worker"),
            (installation.master.home, "server", "master"),
        ]
    ):
        installation.follow(job, until_accepted=3 + 10 * number)
        kill(installation.pid(home, name, program))
    check(installation, job, 60)


def test_a_worker_that_returns_wrong_bytes_is_outvoted_and_marked(installation: Installation, tmp_path: Path) -> None:
    with Liar(installation.master.url, installation.master.enrolment_token()) as liar:
        job = installation.submit(tmp_path, 20).id
        liar.wait_until_it_lied()
        view = installation.follow(job)
    assert view.state == "completed" and installation.result(job) == expected(20)
    with installation.client() as client:
        marked = {found.id: found.marked for found in client.clients() if found.marked}
    assert set(marked) == {liar.id} and "outvoted" in marked[liar.id]
    assert view.results_wrong > 0
