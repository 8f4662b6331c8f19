"""Departure delays of some lines of flights.csv, by carrier and month: how many flights had which delay.

Reads lines on standard input, writes one JSON line a carrier and month, in that order, so that the same lines give
the same bytes everywhere. Histograms of whole minutes lose nothing and merge by adding.
"""

import csv
import json
import sys
from collections import Counter, defaultdict

MONTH, DELAY, CARRIER = 1, 5, 9  # columns of flights.csv


def main() -> None:
    flights: Counter[tuple[str, int]] = Counter()
    delays: defaultdict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for row in csv.reader(sys.stdin):
        if not row or row[0] == "year":  # the header, in the first chunk
            continue
        group = row[CARRIER], int(row[MONTH])
        flights[group] += 1
        if row[DELAY] not in ("", "NA"):  # a flight that never left has none
            delays[group][int(row[DELAY])] += 1
    for group in sorted(flights):
        carrier, month = group
        histogram = sorted(delays[group].items())
        print(json.dumps({"carrier": carrier, "month": month, "flights": flights[group], "delays": histogram}))


if __name__ == "__main__":
    main()
