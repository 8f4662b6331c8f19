"""The same table by one plain process, straight from the CSV, sharing no code with the job: python reference.py CSV"""

import csv
import math
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby
from pathlib import Path


def table(path: Path) -> Iterator[str]:
    """The lines of the result."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["carrier"], int(row["month"]), row["dep_delay"]) for row in csv.DictReader(file)]
    rows.sort()
    yield "carrier,month,flights,mean_dep_delay,p95_dep_delay"
    for (carrier, month), group in groupby(rows, key=lambda row: row[:2]):
        delays = [delay for _, _, delay in group]
        known = sorted(int(delay) for delay in delays if delay and delay != "NA")
        yield f"{carrier},{month},{len(delays)},{_mean(known)},{_percentile(known)}"


def _mean(values: list[int]) -> str:
    if not values:
        return ""
    mean = (Decimal(sum(values)) / len(values)).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    return str(abs(mean) if mean == 0 else mean)


def _percentile(values: list[int]) -> str:
    return str(values[math.ceil(len(values) * 95 / 100) - 1]) if values else ""


if __name__ == "__main__":
    for line in table(Path(sys.argv[1])):
        print(line)
