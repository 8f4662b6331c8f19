"""Lists of CPUs as Linux writes them: `0-3,8`. Pure, but for the machine's own list."""

from collections.abc import Iterable
from pathlib import Path

_ONLINE = Path("/sys/devices/system/cpu/online")


def parse(text: str) -> frozenset[int]:
    """The numbers in a list; empty for an empty one. Raises ValueError for anything else."""
    numbers: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        low = int(first)
        high = int(last) if dash else low
        if not 0 <= low <= high < 65536:
            raise ValueError(f"{text!r} is not a list of CPUs")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def written(numbers: Iterable[int]) -> str:
    """The shortest list of these numbers."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def online(path: Path = _ONLINE) -> frozenset[int]:
    """The CPUs that this machine has and uses; empty where it does not say."""
    try:
        return parse(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return frozenset()
