"""GNU parallel: a process a chunk, which reads its span of the file; results through a pipe into one that merges."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from bench import wordcount
from bench.peers import PROCESSES, Missing


class System:
    def __enter__(self) -> Self:
        if shutil.which("parallel") is None:
            raise Missing("GNU parallel is not installed; install it: apt-get install parallel")
        return self

    def __exit__(self, *_: object) -> None: ...

    def job(self, text: Path, chunk: int, output: Path) -> float:
        begun = time.perf_counter()
        program = [sys.executable, wordcount.__file__]
        command = ["parallel", "--will-cite", "--no-notice", "-j", str(PROCESSES), "--pipepart", "-a", str(text)]
        command += ["--block", str(chunk), *program, "map"]
        with output.open("wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE) as mappers:
            subprocess.run([*program, "reduce"], stdin=mappers.stdout, stdout=file, check=True)
        if mappers.returncode:
            raise RuntimeError(f"parallel ended with exit code {mappers.returncode}")
        return time.perf_counter() - begun

    def dispatch(self, seconds: float) -> float:
        begun = time.perf_counter()
        tasks = int(50 * seconds)
        command = ["parallel", "--will-cite", "-j", str(PROCESSES), "true", ":::", *map(str, range(tasks))]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return tasks / (time.perf_counter() - begun)
