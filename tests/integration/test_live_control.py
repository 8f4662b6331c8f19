"""An allocation that changes while containers compute: each part followed, read back, put right, and told."""

from collections.abc import Callable

import msgspec
import pytest

from dockercomp.protocol import messages as m
from dockercomp.protocol.orders import ImagePin
from tests.integration.fake_master import Chunk, FakeMaster
from tests.integration.test_worker_daemon import (
    MIB,
    Worker,
    docker,
    give,
    master,
    order,
    pin,
    worker,
)
from tests.waiting import wait_until

__all__ = ["master", "pin", "worker"]

EATER = (
    "import os, re, time\n"
    "memory = int(re.search(r'memory (\\d+)', open(os.environ['DC_ALLOCATION']).read())[1])\n"
    "held = bytearray(memory // 2)\n"
    "time.sleep(600)\n"
)
"""Holds half of the memory that its container has when it starts."""


def allocation(version: int, **parts: object) -> m.Allocation:
    return msgspec.structs.replace(
        m.Allocation(version=version, containers=1, cpus=0.5, memory=256 * MIB),
        **parts,  # type: ignore[arg-type]
    )


def part(master: FakeMaster, version: int, name: str) -> m.PartReport | None:
    applied = master.last.applied
    if applied is None or applied.version != version:
        return None
    return next((each for each in applied.parts if each.part == name), None)


def comes_to(master: FakeMaster, version: int, name: str, state: str, why: str = "") -> Callable[[], bool]:
    def so() -> bool:
        found = part(master, version, name)
        return found is not None and found.state == state and why in found.why

    return so


def verified(master: FakeMaster, version: int) -> Callable[[], bool]:
    def so() -> bool:
        applied = master.last.applied
        return applied is not None and applied.version == version and applied.verified

    return so


@pytest.fixture
def working(master: FakeMaster, worker: Worker, pin: ImagePin) -> str:
    """The id of a container that computes for long, on a worker that may have two of them."""
    worker.env |= {"DC_CONTAINERS": "2", "DC_CPUS": "1.5", "DC_MEMORY": "1GiB"}
    give(master, pin, "sleep", "600", chunks=4)
    master.allocation = allocation(1)
    worker.start("--grace", "0")
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    master.until(verified(master, 1))
    return worker.containers()[0]


def test_every_part_is_followed_by_what_runs_and_read_back(master: FakeMaster, worker: Worker, working: str) -> None:
    master.allocation = allocation(2, cpus=1.5, memory=300 * MIB, priority="high", disk=10 * 2**30)
    master.until(verified(master, 2))
    (found,) = master.last.containers
    assert (found.cpus_limit, found.memory_limit, found.weight) == (1.5, 316 * MIB, 4096)
    applied = master.last.applied
    assert applied is not None
    assert {each.part: each.state for each in applied.parts} == {
        "containers": "verified",
        "cpus": "verified",
        "memory": "verified",
        "priority": "verified",
        "policy": "verified",
        "paused": "verified",
        "disk": "applied",
        "jobs": "applied",
    }
    master.allocation = allocation(3, cpus=0.25, priority="low", paused=True)
    master.until(verified(master, 3))
    (found,) = master.last.containers
    assert (found.cpus_limit, found.memory_limit, found.weight) == (0.25, 272 * MIB, 256)
    master.until(lambda: len(master.last.held) == 1)  # the chunk that runs is kept, those that wait are not
    (held,) = master.last.held
    assert found.state == "paused" and held in master.leased
    master.allocation = allocation(4, jobs=["other-*"])
    master.until(comes_to(master, 4, "jobs", "waiting", "map 0"))
    master.until(lambda: master.last.held == [held])
    master.allocation = allocation(5, containers=9, cpus=0)
    master.until(verified(master, 5))
    cut, raised = part(master, 5, "containers"), part(master, 5, "cpus")
    assert cut and raised and "2 of 9" in cut.why and "at least 0.05" in raised.why
    assert working in worker.containers() and not master.failures


def test_what_somebody_changes_by_hand_is_put_right_and_told(master: FakeMaster, worker: Worker, working: str) -> None:
    docker("update", "--cpu-quota", "150000", "--cpu-shares", "2", working)
    master.until(comes_to(master, 1, "cpus", "verified", "put right: "))
    assert [(c.cpus_limit, c.weight) for c in master.last.containers] == [(0.5, 1024)]
    found = part(master, 1, "cpus")
    assert found and "had 1.5 CPUs, weight 2" in found.why
    docker("pause", working)
    wait_until(lambda: docker("inspect", "-f", "{{.State.Paused}}", working) == "false")
    master.until(lambda: [c.state for c in master.last.containers] == ["running"])
    docker("rm", "-f", working)
    master.until(lambda: [c.chunk for c in master.last.containers if c.id != working] != [])
    master.until(verified(master, 1))
    assert working not in worker.containers() and not master.failures


def test_fewer_containers_end_their_chunks_or_give_them_back_as_asked(
    master: FakeMaster,
    worker: Worker,
    working: str,
) -> None:
    master.allocation = allocation(2, containers=2)
    master.until(lambda: [c.state for c in master.last.containers] == ["running"] * 2)
    master.until(verified(master, 2))
    master.allocation = allocation(3, containers=1, cpus=1.5, memory=800 * MIB)
    master.until(comes_to(master, 3, "containers", "waiting", "ends its chunk first"))
    master.until(comes_to(master, 3, "memory", "waiting"))
    assert sum(c.memory_limit or 0 for c in master.last.containers) <= 1024 * MIB, "not even on the way"
    assert len(worker.containers()) == 2
    before = len(master.returned)
    master.allocation = allocation(4, containers=1, cpus=1.5, memory=800 * MIB, shrink="requeue")
    master.until(verified(master, 4))
    assert len(master.returned) > before and not master.failures
    assert [(c.cpus_limit, c.memory_limit) for c in master.last.containers] == [(1.5, 816 * MIB)]


def test_memory_in_use_is_taken_at_the_chunks_end_unless_forced(
    master: FakeMaster,
    worker: Worker,
    pin: ImagePin,
) -> None:
    give(master, pin, "python3", "-c", EATER, chunks=1)
    master.allocation = allocation(1, cpus=1)
    worker.env |= {"DC_CONTAINERS": "1", "DC_CPUS": "1", "DC_MEMORY": "512MiB"}
    worker.start("--grace", "0")
    master.until(
        lambda: [c.memory_used is not None and c.memory_used > 100 * MIB for c in master.last.containers] == [True]
    )
    (first,) = worker.containers()
    master.allocation = allocation(2, cpus=0.5, memory=64 * MIB)
    master.until(comes_to(master, 2, "memory", "waiting", "when its chunk ends"))
    master.until(lambda: [(c.cpus_limit, c.memory_limit) for c in master.last.containers] == [(0.5, 272 * MIB)])
    assert worker.containers() == [first] and not master.last.applied.verified  # type: ignore[union-attr]
    master.allocation = allocation(3, cpus=0.5, memory=64 * MIB, force=True)
    master.until(lambda: len(master.returned) == 1)
    master.until(verified(master, 3))
    assert [c.memory_limit for c in master.last.containers] == [80 * MIB]
    assert first not in worker.containers() and not master.failures


def test_a_ceiling_below_what_a_running_job_needs_ends_it_and_is_nobodys_fault(
    master: FakeMaster,
    worker: Worker,
    pin: ImagePin,
) -> None:
    needy = order(pin, "sleep", "600")
    needy = msgspec.structs.replace(needy, resources=msgspec.structs.replace(needy.resources, memory=100 * MIB))
    master.add_job(needy)
    master.chunks.append(Chunk("j1", 0, b""))
    file = worker.home / "configuration"
    file.write_text("DC_CONTAINERS=1\nDC_CPUS=0.5\nDC_MEMORY=512MiB\n")
    worker.start("--grace", "0")
    master.until(verified(master, 1))
    file.write_text("DC_CONTAINERS=1\nDC_CPUS=0.5\nDC_MEMORY=64MiB\n")
    master.until(lambda: bool(master.returned) and not master.last.containers and bool(master.last.refused_jobs))
    assert "needs 100 MiB" in master.last.refused_jobs[0].reason and not master.failures
    wait_until(lambda: worker.containers() == [])
    memory = part(master, 1, "memory")
    assert memory and memory.state == "applied" and "64 of 128 MiB" in memory.why
    assert master.last.applied and not master.last.applied.verified
    file.write_text("DC_CONTAINERS=1\nDC_MEMORY=much\n")
    master.until(lambda: any("DC_MEMORY=much" in problem for problem in master.last.problems))
    assert master.last.ceiling is None or master.last.ceiling.memory == 64 * MIB, "the old values hold"


def test_an_old_worker_says_so_and_gives_back_what_is_paused_without_letting_it_go_on(
    master: FakeMaster,
    worker: Worker,
    pin: ImagePin,
) -> None:
    give(master, pin, "sh", "-c", "sleep 20; cat", chunks=1)
    master.worker_version = "99.1"
    worker.start("--grace", "50")
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    master.until(lambda: any("its master serves 99.1" in problem for problem in master.last.problems))
    wait_until(lambda: "run the installer again" in worker.call("status").stdout)
    assert worker.call("pause").returncode == 0
    master.until(lambda: [c.state for c in master.last.containers] == ["paused"])
    process = worker.processes[0]
    process.terminate()
    assert process.wait(40) == 0, "nothing is waited for that is frozen"
    assert master.last.leaving and not master.leased and len(master.returned) == 1
    assert not master.done and not master.failures and worker.containers() == []
