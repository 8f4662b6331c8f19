"""Ray on this machine; the bytes of a chunk travel with its task, through Ray's object store."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import ray  # type: ignore[import-not-found]

from bench.peers import PROCESSES
from bench.peers.chunks import blocks
from bench.wordcount import count, merge

_AHEAD = 2 * PROCESSES


class System:
    def __enter__(self) -> Self:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self._folder = tempfile.TemporaryDirectory(prefix="dc-ray-", ignore_cleanup_errors=True)
        ray.init(
            num_cpus=PROCESSES,
            include_dashboard=False,
            object_store_memory=2**30,
            _temp_dir=self._folder.name,
            logging_level="ERROR",
            log_to_driver=False,
        )
        self._count, self._same = ray.remote(count), ray.remote(_same)
        ray.get([self._count.remote(b"warm") for _ in range(PROCESSES)])
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()
        self._folder.cleanup()

    def job(self, text: Path, chunk: int, output: Path) -> float:
        begun = time.perf_counter()
        output.write_bytes(merge(self._results(blocks(text, chunk))))
        return time.perf_counter() - begun

    def _results(self, waiting: Iterator[bytes]) -> Iterator[bytes]:
        running = [self._count.remote(block) for _, block in zip(range(_AHEAD), waiting, strict=False)]
        while running:
            done, running = ray.wait(running)
            yield ray.get(done[0])
            block = next(waiting, None)
            if block is not None:
                running.append(self._count.remote(block))

    def dispatch(self, seconds: float) -> float:
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            done += len(ray.get([self._same.remote(number) for number in range(2000)]))
        return done / (time.perf_counter() - begun)


def _same(number: int) -> int:
    return number
