"""The house rules put together: what is looked at leads to a verdict, and what cannot be followed is said."""

from pathlib import Path

import pytest

from worker.disk import Disk
from worker.hook import Hook
from worker.house import House
from worker.ledger import Ledger
from worker.lending import Lending
from worker.limits import Wishes
from worker.neighbours import Neighbours
from worker.surroundings import Lookout

GIB = 2**30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where / is seen."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def house(tmp_path: Path, root: Path) -> House:
    home = tmp_path / "home"
    (home / "worker").mkdir(parents=True)
    lending = Lending(2, 4 * GIB, Neighbours("aa", root))
    return House(Disk(home), Ledger(home), Lookout(root), Hook(), lending)


def heat(root: Path, celsius: float) -> None:
    folder = root / "sys/class/hwmon/hwmon0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text("coretemp\n")
    (folder / "temp1_input").write_text(f"{celsius * 1000:.0f}\n")


def test_heat_pauses_until_it_is_some_degrees_cooler(house: House, root: Path) -> None:
    wishes, seen = Wishes(temperature=80), []
    for celsius in (60, 79, 81, 78, 76, 74, 79):
        heat(root, celsius)
        verdict = house.judge(wishes, 0.0, limits_hold=True)
        assert verdict.freeze == bool(verdict.why)
        seen.append(bool(verdict.why))
    assert seen == [False, False, True, True, True, False, False]
    heat(root, 95)
    assert not house.judge(Wishes(), 0.0, limits_hold=True).why


def test_what_the_machine_cannot_follow_is_said(house: House, root: Path) -> None:
    said = house.powerless(Wishes(temperature=80, cpus=8))
    assert "DC_TEMPERATURE has no effect" in said and "DC_CPUS=8 is more than this machine has" in said
    heat(root, 50)
    assert house.powerless(Wishes(temperature=80)) == ""


def test_the_rules_tell_why_as_much_is_lent_where_nobody_said(house: House) -> None:
    assert house.rules(Wishes(cpus=1)) == []
    assert house.rules(Wishes(on_battery=False)) == [
        "Never on battery.",
        "0.5 of 2 cores stays free for you (DC_CPUS says otherwise).",
    ]
