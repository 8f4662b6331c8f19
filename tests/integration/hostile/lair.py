"""What hostile tests share: containers whose program is what a chunk's input says, and neighbours to be kept well."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockercomp.protocol.orders import JobOrder, ProgramSpec
from tests.integration.docker_parts import MIB, image_id, order_of, reason, task
from worker.access import LOCKED, Access
from worker.container import WarmContainer
from worker.engine import Engine
from worker.tasks import Outcome, Size

RUN_IT = "import sys; exec(sys.stdin.read())"
SIZE = Size(cpus=1.0, memory=96 * MIB, scratch=32 * MIB)
FINE = "print('fine')"
CALL = """
import ctypes, errno, json, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *given):
    "What the kernel answers to a system call: the name of its error, or 'done'."
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in given]
    said = libc.syscall(ctypes.c_long(number), *words)
    return errno.errorcode[ctypes.get_errno()] if said < 0 else "done"
"""


def program(**more: Any) -> JobOrder:
    return order_of(ProgramSpec(command=["python3", "-c", RUN_IT]), **more)


@dataclass
class Lair:
    """Warm containers by slot, of one instance; one that died is made anew, as a worker would."""

    engine: Engine
    home: Path
    folder: Path

    def __post_init__(self) -> None:
        self._containers: list[WarmContainer] = []

    def container(self, order: JobOrder | None = None, size: Size = SIZE, access: Access = LOCKED) -> WarmContainer:
        folder, slot, image = self.folder, len(self._containers), image_id(self.engine)
        made = WarmContainer(self.engine, order or program(), image, folder, slot, size, self.home, access)
        self._containers.append(made)
        made.start()
        return made

    def remove(self) -> None:
        for container in self._containers:
            container.stop()


def run(container: WarmContainer, script: str) -> Outcome:
    return container.run(task(script.encode()))


def said(container: WarmContainer, script: str) -> str:
    outcome = run(container, script)
    assert outcome.failure is None, outcome.failure
    assert isinstance(outcome.payload, bytes)
    return outcome.payload.decode()


def answer(container: WarmContainer, data: bytes) -> bytes | Path:
    """What a container makes of a chunk; tried again where a short time limit was too short for a busy machine."""
    for _ in range(5):
        outcome = container.run(task(data))
        if outcome.failure is None or outcome.failure.reason != "time":
            break
    assert outcome.failure is None, outcome.failure
    return outcome.payload


def is_well(container: WarmContainer) -> None:
    """The container goes on, with nothing of what was before in the way."""
    assert container.state == "idle"
    assert answer(container, FINE.encode()) == b"fine\n"


def failed(container: WarmContainer, script: str) -> str:
    """The reason for which an attack fails, after which the container must go on."""
    outcome = run(container, script)
    assert outcome.failure is not None and len(outcome.failure.message) > 20, outcome.failure
    is_well(container)
    return reason(outcome)


@contextmanager
def working(neighbour: WarmContainer) -> Iterator[None]:
    """Keep a neighbour at work meanwhile; every chunk of it must come out right, and one at the very end too."""
    over, outcomes = threading.Event(), list[Outcome]()

    def works() -> None:
        while not over.is_set():
            outcomes.append(run(neighbour, FINE))

    thread = threading.Thread(target=works)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert outcomes and all(outcome.payload == b"fine\n" for outcome in outcomes)
    is_well(neighbour)


def memory(kind: str) -> int:
    """Bytes that this process, which is the worker here, holds (`VmRSS`) or held at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


@contextmanager
def bounded(home: Path, grows: int = 24 * MIB) -> Iterator[None]:
    """The worker needs little more memory meanwhile, and leaves nothing on its disk."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the most begins anew
    before = memory("VmRSS")
    yield
    assert memory("VmHWM") - before < grows
    left = [path for path in (home / "worker" / "spool").rglob("*") if path.is_file()]
    assert left == []
