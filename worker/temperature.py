"""How hot the processor is, where the machine tells: Linux' hardware monitors, else its thermal zones.

A sensor says thousandths of a degree Celsius (kernel's Documentation/hwmon/sysfs-interface and
driver-api/thermal/sysfs-api). The hottest one of the processor counts; a disk's or a network card's does not.
"""

from collections.abc import Iterator
from pathlib import Path

COOLER = 5.0
"""Degrees below the limit at which work goes on, so that it does not start and stop all the time."""
_CHIPS = ("coretemp", "k10temp", "k8temp", "zenpower", "cpu", "soc", "scpi_sensors", "acpitz")
"""Names of monitors, or their beginnings, that watch the processor."""
_ZONES = ("x86_pkg_temp", "cpu", "soc", "tcpu", "acpitz")
_COLDEST, _HOTTEST = -40.0, 150.0
"""What is not between is a sensor that is not there: boards name those too."""


def celsius(root: Path = Path("/")) -> float | None:
    """The processor's temperature; None where the machine does not tell. `root` is where / is seen."""
    return max(_monitors(root), default=None) or max(_zones(root), default=None)


def too_hot(now: float | None, limit: float | None, before: bool) -> bool:
    """Whether it is too hot to work, where it was or was not `before`."""
    if now is None or limit is None:
        return False
    return now > (limit - COOLER if before else limit)


def _monitors(root: Path) -> Iterator[float]:
    for chip in root.glob("sys/class/hwmon/hwmon*"):
        if _text(chip / "name").startswith(_CHIPS):
            yield from _readings(chip.glob("temp*_input"))


def _zones(root: Path) -> Iterator[float]:
    for zone in root.glob("sys/class/thermal/thermal_zone*"):
        if _text(zone / "type").lower().startswith(_ZONES):
            yield from _readings([zone / "temp"])


def _readings(files: Iterator[Path] | list[Path]) -> Iterator[float]:
    for file in files:
        text = _text(file)
        if text.lstrip("-").isdigit() and _COLDEST < int(text) / 1000 < _HOTTEST and text != "0":
            yield int(text) / 1000


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
