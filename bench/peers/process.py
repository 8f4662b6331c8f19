"""Peers running, each in a process of its own (serve.py is its other end)."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from bench import CHECKOUT
from bench.peers import PACKAGES, Missing, environment

_WORDS = 2000
"""Bytes of what a peer said that are shown when it fails."""


class RunningPeer:
    """A peer that is ready."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", said: IO[bytes]) -> None:
        self._name, self._process, self._said = name, process, said

    def call(self, bench: str, **arguments: object) -> float:
        """What the peer's method `bench` gives. Raises RuntimeError if its process fails."""
        _pipe(self._process.stdin).write(json.dumps({"bench": bench, **arguments}, default=str) + "\n")
        _pipe(self._process.stdin).flush()
        return float(self.answer()["value"])

    def answer(self) -> dict[str, Any]:
        line = _pipe(self._process.stdout).readline()
        if not line:
            code = self._process.wait()
            self._said.seek(max(0, self._said.seek(0, 2) - _WORDS))
            said = self._said.read().decode(errors="replace")
            raise RuntimeError(f"{self._name} ended with exit code {code}:\n{said}")
        found: dict[str, Any] = json.loads(line)
        if "missing" in found:
            raise Missing(found["missing"])
        return found


@contextmanager
def running(name: str) -> Iterator[RunningPeer]:
    """Start a peer and wait until it is ready. Raises Missing."""
    interpreter = str(environment.python()) if name in PACKAGES else sys.executable
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [interpreter, "-m", "bench.peers.serve", name],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,  # whose end ends it
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        peer = RunningPeer(name, process, said)
        peer.answer()
        yield peer


def measured(name: str, measure: Callable[[RunningPeer], float]) -> float | None:
    """What `measure` finds of the running peer; None where it is missing, which is said."""
    try:
        with running(name) as peer:
            return measure(peer)
    except Missing as missing:
        print(f"{name} is missing: {missing}", file=sys.stderr)
        return None


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
