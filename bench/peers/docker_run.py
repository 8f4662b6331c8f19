"""`docker run` a chunk: what a script around containers does. Bytes in on stdin, the result out on stdout."""

import subprocess
import time
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Self

from bench import wordcount
from bench.peers import PROCESSES, Missing
from bench.peers.chunks import blocks

_IMAGE = "dockercomp/python:latest"


class System:
    def __enter__(self) -> Self:
        try:
            subprocess.run(["docker", "image", "inspect", _IMAGE], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Missing(f"docker has no image {_IMAGE}: {error}") from error
        return self

    def __exit__(self, *_: object) -> None: ...

    def job(self, text: Path, chunk: int, output: Path) -> float:
        begun = time.perf_counter()
        with ThreadPool(PROCESSES) as pool:
            output.write_bytes(wordcount.merge(pool.imap_unordered(_count, blocks(text, chunk))))
        return time.perf_counter() - begun

    def dispatch(self, seconds: float) -> float:
        done, begun = 0, time.perf_counter()
        with ThreadPool(PROCESSES) as pool:
            while time.perf_counter() - begun < seconds:
                done += len(pool.map(_nothing, range(PROCESSES)))
        return done / (time.perf_counter() - begun)


def _count(block: bytes) -> bytes:
    mount = ["-v", f"{Path(wordcount.__file__).parent}:/bench:ro"]
    return _run(mount, ["python3", "/bench/wordcount.py", "map"], block)


def _nothing(_: int) -> bytes:
    return _run([], ["true"], b"")


def _run(options: Sequence[str], command: Sequence[str], data: bytes) -> bytes:
    limits = ["--rm", "--interactive", "--network=none", "--cpus=1"]
    arguments = ["docker", "run", *limits, *options, _IMAGE, *command]
    return subprocess.run(arguments, input=data, stdout=subprocess.PIPE, check=True).stdout
