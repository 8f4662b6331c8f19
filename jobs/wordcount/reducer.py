#!/usr/bin/env python3
"""Hadoop-streaming style: sorted lines `word TAB number` in, one line a word with the sum of its numbers out.

What it writes it can also read, so it serves as the combiner too.
"""

import sys
from itertools import groupby

pairs = (line.rstrip("\n").split("\t") for line in sys.stdin)
for word, group in groupby(pairs, key=lambda pair: pair[0]):
    print(word, sum(int(number) for _, number in group), sep="\t")
