"""The four programs of the real mixes: built from their C, and how much of each is a second with one CPU here."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

NAMES = ("blackscholes", "similarity", "triad", "queue")
"""Computes only; a pipeline with serial stages; bound by memory; threads that wait for one lock."""

_SOURCES = Path(__file__).with_name("programs")
_HEADER = Path(__file__).resolve().parents[2] / "worker" / "inside"
_FLAGS = ("-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-static", "-pthread")
_LEAST_S = 0.25
"""A program is timed over at least so many seconds."""


def build(folder: Path) -> None:
    """Compile all into `folder`, so that a container's user may run them. Raises RuntimeError without a compiler."""
    folder.mkdir(mode=0o755, exist_ok=True)
    for name in NAMES:
        compiled(_SOURCES / f"{name}.c", folder / name)


def compiled(source: Path, target: Path) -> Path:
    """`target`, static, so that it runs in any image. Raises RuntimeError without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise RuntimeError(
            "there is no C compiler to build the programs of this benchmark: apt-get install gcc libc6-dev"
        )
    subprocess.run([compiler, *_FLAGS, "-I", str(_HEADER), "-o", str(target), str(source), "-lm"], check=True)
    return target


def rates(folder: Path) -> Mapping[str, float]:
    """Rounds a second of each program alone with one thread, the better of two."""
    return {name: max(_rate(folder / name) for _ in range(2)) for name in NAMES}


def _rate(program: Path) -> float:
    rounds, environment = 16, {**os.environ, "DC_WIDTH": "1"}
    while True:
        begun = time.perf_counter()
        subprocess.run([str(program), str(rounds)], env=environment, stdout=subprocess.DEVNULL, check=True)
        took = time.perf_counter() - begun
        if took >= _LEAST_S:
            return rounds / took
        rounds *= 4
