"""Dask's distributed scheduler with a local cluster of processes; the bytes of a chunk travel with its task."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import distributed  # type: ignore[import-not-found]

from bench.peers import PROCESSES
from bench.peers.chunks import blocks
from bench.wordcount import count, merge

_AHEAD = 2 * PROCESSES
"""Chunks given to the cluster at once: some for each process, not the whole text."""


class System:
    def __enter__(self) -> Self:
        self._cluster = distributed.LocalCluster(
            n_workers=PROCESSES, threads_per_worker=1, processes=True, dashboard_address=None
        )
        self._client = distributed.Client(self._cluster)
        self._client.gather(self._client.map(count, [b"warm"] * PROCESSES, pure=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._cluster.close()

    def job(self, text: Path, chunk: int, output: Path) -> float:
        begun = time.perf_counter()
        output.write_bytes(merge(self._results(blocks(text, chunk))))
        return time.perf_counter() - begun

    def _results(self, waiting: Iterator[bytes]) -> Iterator[bytes]:
        first = [self._submit(block) for _, block in zip(range(_AHEAD), waiting, strict=False)]
        running = distributed.as_completed(first)
        for future in running:
            yield future.result()
            block = next(waiting, None)
            if block is not None:
                running.add(self._submit(block))

    def _submit(self, block: bytes) -> Any:
        return self._client.submit(count, block, pure=False)

    def dispatch(self, seconds: float) -> float:
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            done += len(self._client.gather(self._client.map(_same, range(done, done + 2000), pure=False)))
        return done / (time.perf_counter() - begun)


def _same(number: int) -> int:
    return number
