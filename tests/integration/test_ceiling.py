"""The volunteer's ceiling is law: a master that demands more of anything gets the ceiling. Real containers."""

import json
import os
from datetime import datetime, timedelta

from dockercomp.protocol import messages as m
from dockercomp.protocol.orders import ImagePin
from tests.integration.fake_master import Chunk, FakeMaster
from tests.integration.test_worker_daemon import MIB, Worker, docker, give, master, order, pin, tar, worker
from tests.waiting import wait_until
from worker.schedule import DAYS

__all__ = ["master", "pin", "worker"]


def configure(worker: Worker, *lines: str) -> None:
    (worker.home / "configuration").write_text("".join(f"{line}\n" for line in lines))


def another_day() -> str:
    """A day of the week on which it neither is today nor will be by the end of a test."""
    return DAYS[(datetime.now() + timedelta(days=3)).weekday()]


def reports(master: FakeMaster) -> list[str]:
    return [container.state for container in master.last.containers]


def test_containers_cpus_and_memory_are_clipped_whatever_is_demanded(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_CONTAINERS=2", "DC_CPUS=0.5", "DC_MEMORY=256MiB")
    master.allocation = m.Allocation(version=1, containers=1000, cpus=900.0, memory=2**50)
    give(master, pin, "sleep", "600", chunks=8)
    worker.start("--grace", "0")
    master.until(
        lambda: reports(master) == ["running"] * 2 and bool(master.last.applied and master.last.applied.verified)
    )
    read = [(report.cpus_limit, report.memory_limit) for report in master.last.containers]
    assert sum(cpus or 9 for cpus, _ in read) <= 0.5
    assert sum(memory or 2**50 for _, memory in read) <= 256 * MIB
    assert len(worker.containers()) == 2


def test_while_the_owner_types_nothing_runs(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    configure(worker, "DC_WHEN_IDLE=no")
    give(master, pin, "sleep", "600", chunks=1)
    worker.start("--grace", "0")
    master.until(lambda: reports(master) == ["running"])
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, b"ls\n")
        assert os.read(terminal, 10) == b"ls\n"
        configure(worker, "DC_WHEN_IDLE=30")
        master.until(lambda: reports(master) == ["paused"])
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert "The machine is in use" in master.last.status and "for 30 minutes" in master.last.status
    configure(worker, "DC_WHEN_IDLE=no")
    master.until(lambda: reports(master) == ["running"])


def test_an_input_that_lies_about_its_size_stops_at_the_disks_ceiling(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_DISK=64MiB")
    give(master, pin, "cat", chunks=0)
    master.chunks = [Chunk("j1", 0, bytes(100 * MIB), inline=False)]
    worker.start("--grace", "0")
    master.until(lambda: bool(master.last.refused_jobs))
    assert "DC_DISK allows 64 MiB" in master.last.refused_jobs[0].reason
    assert master.returned and not master.failures, "nobody's fault: others may run it"
    assert not list((worker.home / "worker/spool").iterdir())
    found = json.loads(worker.call("limits", "--json").stdout)
    assert found["ceiling"]["disk"] == 64 * MIB and found["disk_used"] <= 64 * MIB
    assert any(sync.ceiling and sync.ceiling.disk == 64 * MIB for sync in master.syncs), "the master is told"


def test_an_image_larger_than_the_disks_ceiling_is_refused_before_it_is_here(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_DISK=64MiB")
    unknown = ImagePin(name="large", config_digest="sha256:" + "1" * 64, platform=pin.platform)
    give(master, unknown, "cat")
    master.images["j1"] = lambda: bytes(100 * MIB)
    worker.start("--grace", "0")
    master.until(lambda: bool(master.last.refused_jobs))
    assert "DC_DISK allows 64 MiB" in master.last.refused_jobs[0].reason
    assert not list((worker.home / "worker/spool").iterdir())


def test_the_days_network_volume_ends_taking_but_not_bringing_and_outlives_a_restart(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_NETWORK_PER_DAY=128MiB")
    give(master, pin, "wc", "-c", chunks=0)
    master.chunks = [Chunk("j1", index, bytes(12 * MIB), inline=False) for index in range(20)]
    process = worker.start()
    master.until(lambda: "DC_NETWORK_PER_DAY is used up; goes on" in master.last.status and not master.last.held)
    done = len(master.done)
    assert 1 <= done <= 10, "what was fetched was computed and brought"
    assert master.last.want == 0
    process.terminate()
    assert process.wait(60) == 0
    used = json.loads((worker.home / "worker/network.json").read_bytes())
    assert 56 * MIB < sum(used.values()) <= 128 * MIB
    session = master.last.session
    worker.start()
    master.until(lambda: master.last.session != session and "used up" in master.last.status)
    assert master.last.want == 0 and len(master.done) == done


def test_a_master_that_wants_a_result_again_and_again_ends_at_the_overdraft(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_NETWORK_PER_DAY=128MiB")
    give(master, pin, "head", "-c", "20000000", "/dev/zero")

    def again(report: m.ResultReport) -> m.Ack:
        master.blobs.clear()
        return m.Ack(lease=report.lease, status="send")

    master.ack = again
    worker.start("--grace", "0")
    wait_until(lambda: "allowed beyond it for bringing results" in worker.call("status").stdout, 60)
    used = json.loads((worker.home / "worker/network.json").read_bytes())
    assert 128 * MIB < sum(used.values()) <= 1.25 * 128 * MIB + m.PART_LIMIT


def test_outside_its_hours_it_freezes_at_once_says_why_and_goes_on_after_an_edit(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, f"DC_HOURS='{DAYS[datetime.now().weekday()]},{another_day()}'", "DC_CONTAINERS=1")
    give(master, pin, "sleep", "600", chunks=1)
    worker.start("--grace", "0")
    master.until(lambda: reports(master) == ["running"])
    configure(worker, f"DC_HOURS={another_day()}", "DC_CONTAINERS=1")
    master.until(lambda: reports(master) == ["paused"])
    assert "Outside DC_HOURS: goes on on" in master.last.status and master.last.want == 0
    assert master.last.held, "the lease is kept as in a pause"
    (container,) = worker.containers()
    assert docker("inspect", "-f", "{{.State.Paused}}", container) == "true"
    wait_until(lambda: "Outside DC_HOURS" in worker.call("status").stdout)
    assert f"Hours: {another_day()}." in worker.call("limits").stdout
    configure(worker, "DC_HOURS='18:00-18:00'", "DC_CONTAINERS=1")
    master.until(lambda: "line 1: DC_HOURS=18:00-18:00" in master.last.status)
    assert "ends when it begins" in master.last.status and reports(master) == ["paused"], "the old hours hold"
    configure(worker, "DC_CONTAINERS=1")
    master.until(lambda: reports(master) == ["running"])
    assert not master.returned and not master.failures


def test_a_result_for_which_there_is_no_room_is_nobodys_fault(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_DISK=64MiB")
    give(master, pin, "head", "-c", "100000000", "/dev/zero")
    worker.start("--grace", "0")
    master.until(lambda: bool(master.last.refused_jobs) and bool(master.returned))
    assert "the result cannot be kept here: the volunteer's DC_DISK" in master.last.refused_jobs[0].reason
    assert not list((worker.home / "worker/spool").iterdir()) and not master.failures


def test_a_job_folder_that_fits_packed_but_not_with_its_files_is_refused(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_DISK=64MiB")
    program = tar(zeros=bytes(40 * MIB))
    master.programs["j1"] = program
    give(master, pin, "cat", program=program)
    worker.start("--grace", "0")
    master.until(lambda: bool(master.last.refused_jobs))
    assert "DC_DISK allows 64 MiB" in master.last.refused_jobs[0].reason
    assert not list((worker.home / "worker/programs").iterdir())


def test_a_job_that_is_refused_for_room_runs_once_there_is_some(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_DISK=64MiB")
    master.add_job(order(pin, "wc", "-c"))
    master.chunks = [Chunk("j1", 0, bytes(100 * MIB), inline=False)]
    worker.start("--grace", "0")
    master.until(lambda: bool(master.last.refused_jobs))
    configure(worker, "DC_DISK=1GiB")
    master.until(lambda: ("j1", 0) in master.done)
    assert master.payload("j1", 0) == b"%d\n" % (100 * MIB)
