"""Pi from the cells of a quarter circle of radius RADIUS whose middle lies inside it.

Row v has its middles at height v + 1/2; of those at u + 1/2 the ones with (2u+1)^2 + (2v+1)^2 <= (2 RADIUS)^2 lie
inside. All in whole numbers, so every machine gets the same bytes.
"""

from collections.abc import Iterator
from math import isqrt

RADIUS = 10_000_000
DIGITS = 9


def count(rows: range) -> str:
    """Map: the cells inside, of some rows."""
    square = (2 * RADIUS) ** 2
    return f"{sum((isqrt(square - (2 * row + 1) ** 2) + 1) // 2 for row in rows)}\n"


def merge(results: Iterator[bytes]) -> str:
    """Reduce: pi is four times the cells inside over RADIUS squared."""
    cells = sum(int(line) for result in results for line in result.split())
    scaled = 4 * cells * 10**DIGITS // RADIUS**2
    return f"cells {cells}\npi {scaled // 10**DIGITS}.{scaled % 10**DIGITS:0{DIGITS}d}\n"
