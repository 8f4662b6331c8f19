"""Text to count words in: drawn from a made-up vocabulary by Zipf's law, the same from the same seed."""

import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

SEED = 20260801
_WORDS = 30_000
_SENTENCES = 100_000
"""Different sentences; the text draws from them, so that half a gibibyte is written in seconds."""
_OFFSET = 2.7
"""Zipf-Mandelbrot: the n-th word's weight is 1 / (n + 2.7), as Mandelbrot found for English."""


def text(folder: Path, size: int) -> Path:
    """A file of `size` bytes of whole lines (the last one cut), made once."""
    path = folder / f"text-{SEED}-{size}.txt"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            for block in _blocks(size):
                file.write(block)
        temporary.replace(path)
    return path


def _blocks(size: int) -> Iterator[bytes]:
    draw = random.Random(SEED)
    sentences = _sentences(draw)
    left = size
    while left:
        block = "".join(draw.choices(sentences, k=10_000)).encode()[:left]
        left -= len(block)
        yield block


def _sentences(draw: random.Random) -> list[str]:
    words = _vocabulary(draw)
    weights = list(accumulate(1 / (rank + _OFFSET) for rank in range(1, len(words) + 1)))
    found = []
    for _ in range(_SENTENCES):
        chosen = draw.choices(words, cum_weights=weights, k=draw.randint(4, 20))
        if len(chosen) > 8:
            chosen[6] += ","
        found.append(" ".join(chosen).capitalize() + ".\n")
    return found


def _vocabulary(draw: random.Random) -> list[str]:
    syllables = [start + vowel for start in "bcdfghjklmnprstvwz" for vowel in "aeiou"]
    words: dict[str, None] = {}
    while len(words) < _WORDS:
        words["".join(draw.choices(syllables, k=draw.choice((1, 2, 2, 3, 3, 4))))] = None
    return list(words)
