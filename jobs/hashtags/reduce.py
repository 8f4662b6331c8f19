#!/usr/bin/env python3
"""Adds up what map.py wrote for several days, of one kind.

    reduce.py --input_paths DAY.lang… --output_path=PATH

writes PATH.lang, the sums in the same form, and for plots PATH.lang.csv, a row a language, and PATH.lang.days.csv, a
row a day, with a column for each of the most used hashtags; likewise of `country`.
"""

import argparse
import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

COLUMNS = 8

parser = argparse.ArgumentParser()
parser.add_argument("--input_paths", nargs="+", type=Path, required=True)
parser.add_argument("--output_path", required=True)
args = parser.parse_args()

kind = args.input_paths[0].suffix
total, days = defaultdict(Counter), defaultdict(Counter)
for path in args.input_paths:
    day = re.search(r"\d{4}-\d\d-\d\d", path.name).group()
    for tag, found in json.loads(path.read_text(encoding="utf-8")).items():
        total[tag].update(found)
        days[day][tag] += sum(found.values())

used = sorted(total.keys() - {"_all"}, key=lambda tag: (-sum(total[tag].values()), tag))[:COLUMNS]
Path(f"{args.output_path}{kind}").write_text(json.dumps(total, ensure_ascii=False, sort_keys=True), encoding="utf-8")
for name, rows in {
    f"{kind}.csv": ([key, *(total[tag][key] for tag in used)] for key in sorted(total["_all"])),
    f"{kind}.days.csv": ([day, *(days[day][tag] for tag in used)] for day in sorted(days)),
}.items():
    with Path(args.output_path + name).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["day" if "days" in name else kind[1:], *used])
        table.writerows(rows)
