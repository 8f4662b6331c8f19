"""CPU follows the programs: one begins, ends or is killed, and its neighbours' control groups change. Real engine."""

import pytest
from msgspec.structs import replace

from dockercomp.protocol import messages as m
from dockercomp.protocol.orders import ImagePin
from tests.integration.fake_master import Chunk, FakeMaster
from tests.integration.test_ceiling import configure
from tests.integration.test_worker_daemon import MIB, Worker, docker, master, order, pin, worker

__all__ = ["master", "pin", "worker"]

pytestmark = pytest.mark.timeout(240)


def begin(master: FakeMaster, pin: ImagePin, job: str, *command: str, chunks: int = 1, **resources: object) -> None:
    told = order(pin, *command, job=job)
    master.add_job(replace(told, resources=replace(told.resources, **resources)))
    master.chunks += [Chunk(job, index, b"") for index in range(chunks)]


def limits(master: FakeMaster) -> dict[str, float]:
    """CPUs of each job's running container, as its control group said in the last sync."""
    return {c.job: c.cpus_limit or 0.0 for c in master.last.containers if c.state == "running"}


def divided(master: FakeMaster, **expected: float) -> bool:
    found = limits(master)
    return found.keys() == expected.keys() and all(abs(found[job] - cpus) < 0.02 for job, cpus in expected.items())


def never_above(master: FakeMaster, cpus: float) -> bool:
    sums = [sum(c.cpus_limit or 0.0 for c in sync.containers) for sync in master.syncs]
    return max(sums, default=0.0) <= cpus + 0.01


def share_one_cpu(master: FakeMaster, worker: Worker, policy: m.Policy, containers: int = 2) -> None:
    configure(worker, f"DC_CONTAINERS={containers}", "DC_CPUS=1", "DC_MEMORY=512MiB")
    master.allocation = m.Allocation(
        version=1, containers=containers, cpus=1 / containers, memory=128 * MIB, policy=policy
    )


def test_a_program_begins_and_ends_and_its_neighbour_follows(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    share_one_cpu(master, worker, "equal")
    begin(master, pin, "j1", "sleep", "600")
    worker.start("--grace", "0")
    master.until(lambda: divided(master, j1=1.0))
    begin(master, pin, "j2", "sleep", "600")
    master.until(lambda: divided(master, j1=0.5, j2=0.5))
    container = next(c.id for c in master.last.containers if c.job == "j1")
    master.closed.add("j2")
    master.until(lambda: divided(master, j1=1.0))
    assert [c.id for c in master.last.containers if c.job == "j1"] == [container], "all the time the same container"
    assert never_above(master, 1.0)


def test_a_killed_programs_share_is_its_neighbours(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    share_one_cpu(master, worker, "equal")
    master.ack = lambda report: m.Ack(lease=report.lease, status="unknown")
    begin(master, pin, "j1", "sleep", "600")
    begin(master, pin, "j2", "sleep", "600")
    worker.start("--grace", "0")
    master.until(lambda: divided(master, j1=0.5, j2=0.5))
    docker("kill", next(c.id for c in master.last.containers if c.job == "j2"))
    master.until(lambda: divided(master, j1=1.0))
    assert never_above(master, 1.0)


def test_a_job_gets_no_less_than_its_least_and_no_more_than_its_most(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    share_one_cpu(master, worker, "equal")
    begin(master, pin, "j1", "sleep", "600", cpus=0.25)
    begin(master, pin, "j2", "sleep", "600")
    worker.start("--grace", "0")
    master.until(lambda: divided(master, j1=0.25, j2=0.75))
    master.allocation = replace(master.allocation, version=2, policy="fixed")
    master.until(lambda: divided(master, j1=0.5, j2=0.5))
    master.closed.add("j1")
    master.until(lambda: divided(master, j2=0.5), 60)
    begin(master, pin, "j3", "sleep", "600", least_cpus=0.7)
    master.allocation = replace(master.allocation, version=3, policy="equal")
    master.until(lambda: divided(master, j2=0.3, j3=0.7))


def test_overcommitted_containers_are_held_to_the_ceiling_by_one_set_of_cpus(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    share_one_cpu(master, worker, "overcommit")
    begin(master, pin, "j1", "sleep", "600")
    begin(master, pin, "j2", "sleep", "600")
    worker.start("--grace", "0")

    def together() -> bool:
        """In one set of one CPU; False too where another worker of this machine has the CPUs."""
        sets = {container.cpuset for container in master.last.containers}
        return divided(master, j1=1.0, j2=1.0) and len(sets) == 1 and sets.pop().isdigit()

    def is_verified() -> bool:
        return bool(master.last.applied and master.last.applied.verified)

    master.until(lambda: is_verified() and (together() or divided(master, j1=0.5, j2=0.5)))


def test_a_sweep_brings_runs_at_each_width(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    share_one_cpu(master, worker, "equal", containers=1)
    begin(master, pin, "j1", "true", chunks=12, sweep=True)
    worker.start("--grace", "0")
    master.until(lambda: len(master.done) == 12)
    widths = [report.width for report in master.done.values()]
    assert widths.count(0.5) >= 2 <= widths.count(1.0), widths
    assert {report.cpus_limit for report in master.done.values()} == {0.5, 1.0}, (
        "which their control group held them to"
    )


def test_two_workers_on_one_host_pin_no_cpu_twice(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    second = Worker(master.port)
    master.allocation = m.Allocation(version=1, containers=1, cpus=1.0, memory=128 * MIB)
    begin(master, pin, "j1", "sleep", "600", chunks=8)

    def containers() -> dict[str, m.ContainerReport]:
        """Of both workers, as each told them last."""
        last = {sync.session: sync for sync in master.syncs[-20:]}
        return {c.id: c for sync in last.values() for c in sync.containers if c.cpus_limit}

    try:
        for each in (worker, second):
            configure(each, "DC_CONTAINERS=1", "DC_CPUS=1", "DC_MEMORY=256MiB")
            each.start("--grace", "0")
        master.until(lambda: len(containers()) == 2 and all(c.state == "running" for c in containers().values()))
        pinned = [c.cpuset for c in containers().values() if c.cpuset.isdigit()]
        assert len(pinned) == len(set(pinned)), pinned
    finally:
        second.end()
