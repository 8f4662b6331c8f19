"""Finds similar pictures by their parts, in the manner of PARSEC's ferret.

    ferret.py describe PICTURE…        load → segment → extract; writes a line `picture TAB vector` a segment
    ferret.py search < LINES           index → rank; writes `picture,rank,similar,per_mille` as CSV

The segments are squares. Each is described by a vector of whole numbers: a histogram of its colours and one of the
directions of its edges. For each segment the nearest one of another picture is sought among those that share a cell of
an index (hashing by random planes: M. Charikar, Similarity estimation techniques from rounding algorithms, 2002). A
picture is as similar to another as so many per mille of its segments are nearest to one of the other. Only whole
numbers are computed with, so the result is the same on every machine and whatever the number of threads, DC_WIDTH.
"""

import os
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pipeline
from PIL import Image

SIDE = 32
"""Pixels of a segment's side."""
TABLES, PLANES = 8, 12
"""Cells of the index: tables, and planes that divide the space of vectors in each."""
RANKS = 3
WIDTH = int(os.environ.get("DC_WIDTH", "2"))


def load(path: str) -> tuple[str, np.ndarray]:
    with Image.open(path) as picture:
        return Path(path).stem, np.asarray(picture.convert("RGB"), np.int32)


def segment(loaded: tuple[str, np.ndarray]) -> tuple[str, list[np.ndarray]]:
    name, pixels = loaded
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    corners = ((SIDE * row, SIDE * column) for row in range(rows) for column in range(columns))
    return name, [pixels[y : y + SIDE, x : x + SIDE] for y, x in corners]


def extract(segmented: tuple[str, list[np.ndarray]]) -> str:
    name, segments = segmented
    return "".join(f"{name}\t{describe(each).astype('<u2').tobytes().hex()}\n" for each in segments)


def describe(pixels: np.ndarray) -> np.ndarray:
    """64 counts of colours, 8 of directions."""
    red, green, blue = np.moveaxis(pixels // 64, 2, 0)
    colours = np.bincount((16 * red + 4 * green + blue).ravel(), minlength=64)
    grey = pixels.sum(axis=2)
    right, down = grey[:-1, 1:] - grey[:-1, :-1], grey[1:, :-1] - grey[:-1, :-1]
    edge = np.abs(right) + np.abs(down) > 24
    directions = 4 * (right < 0) + 2 * (down < 0) + (np.abs(right) < np.abs(down))
    return np.concatenate([colours, np.bincount(directions[edge], minlength=8)])


class Index:
    """Vectors by the cells they fall into."""

    def __init__(self, names: list[str], vectors: np.ndarray) -> None:
        self.names, self.vectors = np.array(names), vectors
        source = random.Random(1)
        planes = [source.choice((-1, 1)) for _ in range(vectors.shape[1] * TABLES * PLANES)]
        middle = np.sort(vectors, axis=0)[len(vectors) // 2]
        sides = (vectors - middle) @ np.array(planes).reshape(vectors.shape[1], -1) > 0
        bits = sides.reshape(-1, TABLES, PLANES) @ (1 << np.arange(PLANES))
        self.cells = bits + (np.arange(TABLES) << PLANES)
        self._members: defaultdict[int, list[int]] = defaultdict(list)
        for number, cells in enumerate(self.cells.tolist()):
            for cell in cells:
                self._members[cell].append(number)

    def candidates(self, name: str) -> tuple[str, list[tuple[int, np.ndarray]]]:
        """For each segment of a picture those of others that share a cell with it."""
        found = []
        for number in np.flatnonzero(self.names == name):
            near = sorted({other for cell in self.cells[number].tolist() for other in self._members[cell]})
            others = np.array(near)[self.names[near] != name]
            found.append((int(number), others))
        return name, found

    def rank(self, found: tuple[str, list[tuple[int, np.ndarray]]]) -> str:
        """The pictures that hold the nearest segments most often; of equally near ones the first."""
        name, segments = found
        nearest: Counter[str] = Counter()
        for number, others in segments:
            if len(others):
                distances = np.abs(self.vectors[others] - self.vectors[number]).sum(axis=1)
                nearest[str(self.names[others[distances.argmin()]])] += 1
        best = sorted(nearest.items(), key=lambda pair: (-pair[1], pair[0]))[:RANKS]
        lines = [f"{name},{rank},{other},{1000 * n // len(segments)}\n" for rank, (other, n) in enumerate(best, 1)]
        return "".join(lines)


def search(lines: list[str]) -> None:
    pairs = sorted(tuple(line.split()) for line in lines)
    vectors = np.array([np.frombuffer(bytes.fromhex(vector), "<u2") for _, vector in pairs], np.int64)
    index = Index([name for name, _ in pairs], vectors)
    print("picture,rank,similar,per_mille")
    for ranked in pipeline.run(sorted({name for name, _ in pairs}), (index.candidates, WIDTH), (index.rank, WIDTH)):
        sys.stdout.write(ranked)


if __name__ == "__main__":
    if sys.argv[1] == "describe":
        for described in pipeline.run(sys.argv[2:], (load, 1), (segment, 1), (extract, WIDTH)):
            sys.stdout.write(described)
    else:
        search(sys.stdin.readlines())
