"""The peers' own environment, with what peers.txt pins, and the cache it lies in."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import CHECKOUT
from bench.peers import Missing
from dockercomp.machine.home import default_home

_PINS = CHECKOUT / "bench" / "peers.txt"


def cache() -> Path:
    """Where what the benchmarks can make again is kept."""
    return default_home() / "cache"


def python() -> Path:
    """The environment's interpreter; the environment is made where it is missing. Raises Missing."""
    folder = cache() / "peers"
    found = folder / "bin" / "python"
    stamp, pins = folder / ".stamp", hashlib.sha256(_PINS.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != pins:
        print("installing the peers …", file=sys.stderr)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(found), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        _run([*pip, "--requirement", str(_PINS)])
        stamp.write_text(pins)
    return found


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Missing(f"its packages cannot be installed: {' '.join(last)}")
