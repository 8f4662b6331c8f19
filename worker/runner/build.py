"""Builds the runner for this machine's platform: `python -m worker.runner.build` prints its path.

One small static C program a platform, in worker/runner/bin; built anew only when a source or a flag changed.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

_HERE = Path(__file__).resolve().parent
SOURCES = sorted([*_HERE.glob("*.c"), *_HERE.glob("*.h")])
_COMPILERS = ("cc", "gcc", "musl-gcc", "clang")
_FLAGS = ("-static", "-Os", "-s", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class RunnerMissingError(RuntimeError):
    """There is no runner for a platform and it cannot be built here; the message says what to install."""


def binary(architecture: str) -> Path:
    """Where the runner for an architecture, in Docker's words, lies."""
    return _HERE / "bin" / f"runner-linux-{architecture}"


def own_architecture() -> str:
    return _MACHINES.get(platform.machine().lower(), platform.machine().lower())


def build() -> Path:
    """The runner for this machine, built if needed. Raises RunnerMissingError."""
    target = binary(own_architecture())
    stamp = target.with_suffix(".source")
    revision = _revision()
    if target.exists() and stamp.exists() and stamp.read_text() == revision:
        return target
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise RunnerMissingError("no C compiler here to build the runner: apt-get install gcc libc6-dev")
    target.parent.mkdir(exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    command = [compiler, *_FLAGS, "-o", str(made), *(str(path) for path in SOURCES if path.suffix == ".c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunnerMissingError(f"the runner cannot be built ({' '.join(command)}):\n{done.stderr.strip()[-1500:]}")
    made.chmod(0o755)
    made.replace(target)
    stamp.write_text(revision)
    return target


def _revision() -> str:
    parts = [" ".join(_FLAGS).encode(), *(path.read_bytes() for path in SOURCES)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def find(architecture: str) -> Path:
    """The runner for a platform's architecture: shipped, or built here for this machine. Raises RunnerMissingError."""
    target = binary(architecture)
    if architecture == own_architecture() and shutil.which("cc"):
        return build()
    if not target.exists():
        raise RunnerMissingError(
            f"no runner for linux/{architecture} here; install the worker from a master of that platform"
        )
    return target


if __name__ == "__main__":
    try:
        print(build())
    except RunnerMissingError as error:
        sys.exit(f"worker.runner.build: {error}")
