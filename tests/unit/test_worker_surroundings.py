"""What the owner does beside us, read from recorded /dev, /proc and /sys."""

import os
from pathlib import Path

import pytest

from worker.surroundings import Lookout


class Machine:
    """A root with the files that are looked at, and two clocks: `now` runs on, `wall` may be set."""

    def __init__(self, root: Path) -> None:
        self.root, self.now, self.wall, self.busy = root, 10_000.0, 1e9, 0
        for folder in ("dev/pts", "proc", "sys/class/power_supply"):
            (root / folder).mkdir(parents=True)
        self.stat(0)
        self.lookout = Lookout(root, lambda: self.now, lambda: self.wall)

    def stat(self, busy_s: float) -> None:
        """CPU seconds that all programs used so far."""
        self.busy += int(busy_s * os.sysconf("SC_CLK_TCK"))
        (self.root / "proc/stat").write_text(f"cpu  {self.busy} 0 0 5000 300 0 0 0 0 0\ncpu0 0 0 0 0\n")

    def interrupts(self, keys: int, disk: int) -> None:
        text = f"           CPU0\n  1:  {keys}  IO-APIC  1-edge  i8042\n 14: {disk} IO-APIC 14-edge ata_piix\n"
        (self.root / "proc/interrupts").write_text(text)

    def terminal(self, ago: float) -> None:
        place = self.root / "dev/pts/0"
        place.touch()
        os.utime(place, (self.wall - ago, self.wall))

    def supply(self, name: str, **files: str) -> None:
        folder = self.root / "sys/class/power_supply" / name
        folder.mkdir(exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text + "\n")

    def pass_s(self, seconds: int, all_cpus: float, ours: float) -> None:
        """So many seconds in which all keep `all_cpus` busy and we `ours`."""
        for _ in range(seconds):
            self.now += 1
            self.stat(all_cpus)
            self.lookout.last_use(ours)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_terminal_tells_when_it_was_typed_at(machine: Machine) -> None:
    machine.terminal(ago=120)
    use = machine.lookout.last_use(0)
    assert (round(use.ago_s), use.by) == (120, "a terminal")


def test_a_terminals_time_ahead_of_the_clock_says_nothing(machine: Machine) -> None:
    machine.terminal(ago=-3600)
    assert machine.lookout.last_use(0).ago_s == float("inf")
    machine.terminal(ago=-5)
    assert machine.lookout.last_use(0).ago_s == 0, "a clock that was set by seconds hides nobody"


def test_a_clock_that_was_set_back_prolongs_no_use(machine: Machine) -> None:
    machine.interrupts(keys=100, disk=5)
    machine.lookout.last_use(0)
    machine.interrupts(keys=101, disk=5)
    machine.lookout.last_use(0)
    machine.wall -= 3600
    machine.now += 600
    assert machine.lookout.last_use(0).ago_s == 600


def test_keys_are_told_from_other_interrupts(machine: Machine) -> None:
    machine.interrupts(keys=100, disk=5)
    machine.lookout.last_use(0)
    machine.interrupts(keys=100, disk=999)
    assert machine.lookout.last_use(0).ago_s == float("inf")
    machine.interrupts(keys=102, disk=999)
    use = machine.lookout.last_use(0)
    assert (use.ago_s, use.by) == (0, "keyboard or mouse")


def test_our_own_work_is_no_use_but_that_of_others_is(machine: Machine) -> None:
    cores = os.cpu_count() or 1
    machine.pass_s(60, all_cpus=cores, ours=cores)
    assert machine.lookout.last_use(cores).ago_s == float("inf")
    machine.pass_s(60, all_cpus=cores, ours=cores / 2)
    use = machine.lookout.last_use(cores / 2)
    assert (use.ago_s, use.by) == (0, "programs of others")
    machine.pass_s(120, all_cpus=cores / 2, ours=cores / 2)
    assert 60 < machine.lookout.last_use(cores / 2).ago_s < 130


def test_a_short_burst_is_no_use(machine: Machine) -> None:
    machine.pass_s(30, all_cpus=0, ours=0)
    machine.pass_s(2, all_cpus=1, ours=0)
    assert machine.lookout.last_use(0).ago_s == float("inf")


@pytest.mark.parametrize(
    ("supplies", "on_battery"),
    [
        ({}, False),
        ({"AC": {"type": "Mains", "online": "1"}}, False),
        ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, True),
        ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery", "status": "Charging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, True),
        ({"BAT0": {"type": "Battery", "status": "Full"}}, False),
        ({"mouse": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, False),
        (
            {"ucsi": {"type": "USB", "online": "1"}, "BAT0": {"type": "Battery", "status": "Not charging"}},
            False,
        ),
    ],
)
def test_battery(machine: Machine, supplies: dict[str, dict[str, str]], on_battery: bool) -> None:
    for name, files in supplies.items():
        machine.supply(name, **files)
    assert machine.lookout.on_battery() is on_battery
