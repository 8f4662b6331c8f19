"""When it is too hot to work, read from recorded /sys trees."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.temperature import COOLER, celsius, too_hot


def monitor(root: Path, number: int, name: str, *readings: object) -> None:
    folder = root / f"sys/class/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    for place, reading in enumerate(readings, 1):
        (folder / f"temp{place}_input").write_text(f"{reading}\n")


def zone(root: Path, number: int, kind: str, reading: object) -> None:
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "temp").write_text(f"{reading}\n")


def test_the_hottest_sensor_of_the_processor_counts_and_a_disks_does_not(tmp_path: Path) -> None:
    monitor(tmp_path, 0, "nvme", 92850)
    monitor(tmp_path, 1, "coretemp", 51000, 63500, 48000)
    monitor(tmp_path, 2, "iwlwifi_1", 99000)
    assert celsius(tmp_path) == 63.5


def test_thermal_zones_serve_where_no_monitor_does(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", 55017)
    zone(tmp_path, 1, "battery", 99000)
    assert celsius(tmp_path) == pytest.approx(55.017)


def test_sensors_that_are_not_there_are_passed_over(tmp_path: Path) -> None:
    monitor(tmp_path, 0, "k10temp", -128000, 255000, 0, "N/A", "", 41250)
    assert celsius(tmp_path) == 41.25


@pytest.mark.parametrize("made", [False, True])
def test_a_machine_that_tells_nothing_tells_nothing(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir(parents=True)
    assert celsius(tmp_path) is None


@given(st.floats(30, 110), st.lists(st.floats(-20, 140)))
def test_work_stops_above_the_limit_and_goes_on_some_degrees_below(limit: float, readings: list[float]) -> None:
    hot = False
    for reading in readings:
        before, hot = hot, too_hot(reading, limit, hot)
        assert hot if reading > limit else not hot if reading <= limit - COOLER else hot == before


def test_without_a_sensor_or_a_limit_it_is_never_too_hot() -> None:
    assert not too_hot(None, 50.0, True) and not too_hot(99.0, None, True)
