"""Merges the histograms of all chunks into one CSV table: carrier, month, flights, mean and 95th percentile.

Exact: sums and ranks are integers, the mean is a fraction rounded once, half to even, to two decimals. The percentile
is by nearest rank: the smallest delay that at least 95 % of the flights with a delay do not exceed.
"""

import json
import sys
from collections import Counter, defaultdict
from fractions import Fraction


def mean(histogram: Counter[int]) -> str:
    """The mean with two decimals; empty where there is nothing."""
    count = histogram.total()
    if not count:
        return ""
    hundredths = round(Fraction(100 * sum(delay * number for delay, number in histogram.items()), count))
    return f"{'-' if hundredths < 0 else ''}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"


def percentile(histogram: Counter[int], percent: int) -> str:
    """The nearest-rank percentile; empty where there is nothing."""
    rank = -(-percent * histogram.total() // 100)
    for delay in sorted(histogram):
        rank -= histogram[delay]
        if rank <= 0:
            return str(delay)
    return ""


def main() -> None:
    flights: Counter[tuple[str, int]] = Counter()
    delays: defaultdict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for line in sys.stdin:
        entry = json.loads(line)
        group = entry["carrier"], entry["month"]
        flights[group] += entry["flights"]
        delays[group].update(dict(entry["delays"]))
    print("carrier,month,flights,mean_dep_delay,p95_dep_delay")
    for group in sorted(flights):
        histogram = delays[group]
        print(*group, flights[group], mean(histogram), percentile(histogram, 95), sep=",")


if __name__ == "__main__":
    main()
