#!/usr/bin/env python3
"""Hadoop-streaming style: text on standard input, a line `word TAB 1` for each word on standard output."""

import re
import sys

WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")

for line in sys.stdin:
    for word in WORD.findall(line.lower()):
        print(word, 1, sep="\t")
