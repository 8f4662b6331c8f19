"""Totals by customer of a CSV whose fields hold commas, quotes and line ends."""
import collections
import csv
import sys

totals = collections.Counter()
for row in csv.DictReader(sys.stdin):
    if row["cents"] != "cents":  # the header of the next table
        totals[row["customer"]] += int(row["cents"])
out = csv.writer(sys.stdout)
out.writerow(["customer", "cents"])
out.writerows(sorted(totals.items()))
