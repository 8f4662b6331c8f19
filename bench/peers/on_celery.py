"""Celery with Redis as broker and result store, late acknowledgement; the bytes of a chunk travel in its message."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from bench.peers import PROCESSES, Missing, celery_app
from bench.peers.chunks import blocks
from bench.wordcount import merge

_PATIENCE_S = 600
_TOGETHER = 2000
"""Tasks that do nothing, sent before their results are asked for."""


class System:
    def __enter__(self) -> Self:
        self._programs: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="dc-celery-")
        try:
            self._bring_up()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _bring_up(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        address = f"redis://127.0.0.1:{port}/0"
        memory_only = ["--save", "", "--dir", self._folder.name, "--loglevel", "warning"]
        self._start(["redis-server", "--bind", "127.0.0.1", "--port", port, *memory_only])
        celery = [sys.executable, "-m", "celery", "-A", celery_app.__name__, "-b", address, "--result-backend", address]
        quiet = ["--loglevel=ERROR", "--without-gossip", "--without-mingle"]
        self._start([*celery, "--quiet", "worker", f"--concurrency={PROCESSES}", *quiet])
        celery_app.app.conf.update(broker_url=address, result_backend=address)
        for waiting in [celery_app.words.delay(b"warm") for _ in range(PROCESSES)]:
            waiting.get(timeout=60)

    def _start(self, command: list[str]) -> None:
        env = {**os.environ, "C_FORCE_ROOT": "yes"}  # as root, Celery refuses pickles otherwise
        try:
            program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=env)
        except FileNotFoundError as error:
            raise Missing(f"{command[0]} is not installed; install it: apt-get install {command[0]}") from error
        self._programs.append(program)

    def _stop(self) -> None:
        for program in reversed(self._programs):
            program.terminate()
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()
        self._folder.cleanup()

    def job(self, text: Path, chunk: int, output: Path) -> float:
        begun = time.perf_counter()
        sent = [celery_app.words.delay(block) for block in blocks(text, chunk)]
        output.write_bytes(merge(_result(waiting) for waiting in sent))
        return time.perf_counter() - begun

    def dispatch(self, seconds: float) -> float:
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            sent = [celery_app.same.delay(number) for number in range(_TOGETHER)]
            done += sum(1 for waiting in sent if waiting.get(timeout=_PATIENCE_S) is not None)
        return done / (time.perf_counter() - begun)


def _result(waiting: Any) -> bytes:
    found: bytes = waiting.get(timeout=_PATIENCE_S)
    waiting.forget()
    return found
