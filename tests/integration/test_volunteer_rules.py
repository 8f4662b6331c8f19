"""The volunteer's rules at work: an edit by command, a program of one's own, and defaults, against real containers."""

from pathlib import Path

from dockercomp.machine.removal import MARKER
from dockercomp.protocol.orders import ImagePin
from tests.integration.fake_master import FakeMaster
from tests.integration.test_worker_daemon import Worker, give, master, pin, worker
from tests.waiting import wait_until
from worker import status

__all__ = ["master", "pin", "worker"]


def rules(home: Path) -> str:
    found = status.read(home)
    return " ".join(found.rules) if found else ""


def states(master: FakeMaster) -> list[str]:
    return [each.state for each in master.last.containers]


def test_configure_is_followed_by_the_running_worker(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sleep", "600", chunks=2)
    worker.start("--grace", "0")
    master.until(lambda: [each.cpus_limit for each in master.last.containers] == [0.5])
    assert worker.call("configure", "DC_CPUS=0.25").returncode == 0
    master.until(lambda: [each.cpus_limit for each in master.last.containers] == [0.25])
    refused = worker.call("configure", "DC_CPUS=0.25", "DC_CONTAINERS=900")
    assert refused.returncode == 78 and "DC_CONTAINERS=900: DC_CPUS is 0.25" in refused.stderr
    assert worker.call("configure", "DC_TEMPERATURE=30", "DC_CPUS=").returncode == 0
    wait_until(lambda: "(DC_CPUS says otherwise)" in rules(worker.home))
    wait_until(lambda: "Only below 30 °C." in worker.call("limits").stdout)


def test_a_worker_without_a_file_follows_the_one_that_configure_makes(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    (worker.home / "configuration").unlink()
    assert worker.call("resume").returncode == 0
    give(master, pin, "sleep", "600", chunks=2)
    worker.start("--grace", "0")
    master.until(lambda: states(master) == ["running"])
    assert (worker.home / MARKER).is_file(), "else `uninstall` would not know the folder for ours"
    assert worker.call("configure", "DC_CPUS=0.25").returncode == 0
    master.until(lambda: [each.cpus_limit for each in master.last.containers] == [0.25])


def test_the_volunteers_own_program_pauses_and_lets_go(
    master: FakeMaster, worker: Worker, pin: ImagePin, tmp_path: Path
) -> None:
    hook = tmp_path / "may-work"
    hook.write_text(f"#!/bin/sh\necho $DC_STATE >>{tmp_path}/states\necho a call is going on\ntest -e {tmp_path}/may\n")
    hook.chmod(0o755)
    give(master, pin, "sleep", "600", chunks=2)
    worker.start("--grace", "0")
    master.until(lambda: states(master) == ["running"])
    assert worker.call("configure", f"DC_HOOK={hook}").returncode == 0
    master.until(lambda: states(master) == ["paused"] and "Your hook pauses it: a call" in master.last.status)
    wait_until(lambda: bool((found := status.read(worker.home)) and found.state == "paused"))
    (tmp_path / "may").touch()
    again = tmp_path / "may-work-too"  # another path is asked at once, the same one every half minute
    again.write_text(hook.read_text())
    again.chmod(0o755)
    assert worker.call("configure", f"DC_HOOK={again}").returncode == 0
    master.until(lambda: states(master) == ["running"])
    assert set((tmp_path / "states").read_text().split()) <= {"working", "paused", "idle"}
    again.unlink()
    assert worker.call("configure", f"DC_HOOK={tmp_path}/gone").returncode == 0
    master.until(lambda: states(master) == ["paused"] and "cannot be used: No such file" in master.last.status)


def test_two_workers_without_wishes_divide_the_machine(worker: Worker, master: FakeMaster) -> None:
    """Other tests' workers may run meanwhile, and have their share."""
    (worker.home / "configuration").write_text("")
    worker.start("--grace", "0")
    other = Worker(master.port)
    (other.home / "configuration").write_text("")
    try:
        other.start("--grace", "0")
        wait_until(lambda: "divided among" in rules(worker.home) and "divided among" in rules(other.home))
    finally:
        other.end()
