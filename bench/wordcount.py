"""Word count: the one program that every system runs. Standard library alone and any Python 3: it also runs in
containers, as functions or as `python3 wordcount.py map|reduce`."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping

_WORD = re.compile(r"\w+")


def count(data: bytes) -> bytes:
    """The words of a text (bytes) and how often each is there: sorted lines `word TAB count`."""
    found: Counter[str] = Counter()
    for line in data.decode().splitlines():
        found.update(_WORD.findall(line.lower()))
    return _lines(found)


def merge(results: "Iterable[bytes]") -> bytes:
    """One such list of several."""
    total: Counter[str] = Counter()
    for result in results:
        for line in result.decode().splitlines():
            word, times = line.split("\t")
            total[word] += int(times)
    return _lines(total)


def _lines(found: "Mapping[str, int]") -> bytes:
    return "".join(f"{word}\t{times}\n" for word, times in sorted(found.items())).encode()


if __name__ == "__main__":
    _text = sys.stdin.buffer
    sys.stdout.buffer.write(count(_text.read()) if sys.argv[1] == "map" else merge(_text))
