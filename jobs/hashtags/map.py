#!/usr/bin/env python3
"""Counts the hashtags of one day's archive of tweets, by language and by country.

    map.py --input_path=DAY.zip --output_folder=FOLDER

writes FOLDER/DAY.zip.lang and FOLDER/DAY.zip.country: JSON objects {hashtag: {language or country: tweets}}. A hashtag
counts once a tweet, whatever its case; `_all` counts every tweet.
"""

import argparse
import json
import re
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

HASHTAG = re.compile(r"#[^\s#]+")

parser = argparse.ArgumentParser()
parser.add_argument("--input_path", required=True)
parser.add_argument("--output_folder", default="outputs")
args = parser.parse_args()

counts = {"lang": defaultdict(Counter), "country": defaultdict(Counter)}
with zipfile.ZipFile(args.input_path) as archive:
    for name in archive.namelist():
        with archive.open(name) as file:
            for line in file:
                tweet = json.loads(line)
                tags = {"_all", *HASHTAG.findall(tweet["text"].lower())}
                for tag in tags:
                    counts["lang"][tag][tweet["lang"]] += 1
                    if tweet["place"]:
                        counts["country"][tag][tweet["place"]["country_code"]] += 1

folder = Path(args.output_folder)
folder.mkdir(parents=True, exist_ok=True)
for kind, found in counts.items():
    path = folder / f"{Path(args.input_path).name}.{kind}"
    path.write_text(json.dumps(found, ensure_ascii=False, sort_keys=True), encoding="utf-8")
