"""multiprocessing.Pool: what Python itself brings. Each process reads its own chunks from the file."""

import multiprocessing
import time
from functools import partial
from pathlib import Path
from typing import Self

from bench.peers import PROCESSES
from bench.peers.chunks import read, spans
from bench.wordcount import count, merge


class System:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def job(self, text: Path, chunk: int, output: Path) -> float:
        begun = time.perf_counter()
        with multiprocessing.Pool(PROCESSES) as pool:
            output.write_bytes(merge(pool.imap_unordered(partial(_count, text), spans(text, chunk))))
        return time.perf_counter() - begun

    def dispatch(self, seconds: float) -> float:
        done, begun = 0, time.perf_counter()
        with multiprocessing.Pool(PROCESSES) as pool:
            while time.perf_counter() - begun < seconds:
                done += sum(1 for _ in pool.imap_unordered(_same, range(10_000)))
        return done / (time.perf_counter() - begun)


def _count(text: Path, span: tuple[int, int]) -> bytes:
    return bytes(count(read(text, span)))


def _same(number: int) -> int:
    return number
