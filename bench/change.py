"""What it takes to change a running container's allocation: how long from the worker's decision until the cgroup has
it, and until a program's pool of threads (C) or of processes (Python) has its new width; and what it costs.

The container alternates between 1 and 2 CPUs while its program works, at moments drawn at random, since pools look at
their allocation every 50 ms. All clocks are the kernel's monotonic one, the same inside and outside. Needs Docker
Engine, a C compiler, and the image dockercomp/python, which is built where it is missing.
"""

import random
import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.installation import docker_host, engine_image
from bench.rows import Row, row
from dockercomp.machine.home import instance_label
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder
from worker import inside
from worker.container import WarmContainer
from worker.engine import Engine
from worker.live import Live
from worker.tasks import Outcome, Size, Task

CHANGES = 20
"""In one run, of each program."""
LONGEST_S = 60.0
"""What a pool may take; it is given up then."""
COMMANDS = {"C threads": ["./change"], "Python processes": ["python3", "change_program.py"]}
_HERE = Path(__file__).parent
_MIB = 2**20


@dataclass
class _Figures:
    """Milliseconds from the decision, one a change; CPU milliseconds of the worker's process; microseconds a look."""

    cgroup: list[float] = field(default_factory=list)
    pool: list[float] = field(default_factory=list)
    worker_cpu: list[float] = field(default_factory=list)
    look_us: list[float] = field(default_factory=list)


class _Listening(Live):
    """Hears when the program's pool has a new width."""

    def __init__(self) -> None:
        super().__init__("bench")
        self._said = b""
        self._news = threading.Condition()

    def log(self, part: bytes) -> None:
        super().log(part)
        with self._news:
            self._said += part
            self._news.notify_all()

    def times(self) -> list[tuple[int, int]]:
        """Width and nanoseconds, as often as it was said."""
        whole = self._said[: self._said.rfind(b"\n") + 1].decode().splitlines()
        return [(int(width), int(moment)) for width, moment in (line.split() for line in whole)]

    def wait_for(self, width: int) -> int:
        """When the pool came to have this width after the last one. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: (self.times() or [(0, 0)])[-1][0] == width, LONGEST_S):
                raise TimeoutError(f"the pool did not come to a width of {width} within {LONGEST_S:.0f} s")
            return self.times()[-1][1]


def rows(runs: int, peers: Sequence[str] = ()) -> list[Row]:
    """Medians over all changes of all runs; `runs` counts changes."""
    found: list[Row] = []
    seed = random.Random(1)
    everything = _Figures()
    for name, command in COMMANDS.items():
        figures = _Figures()
        for _ in range(runs):
            _measure(command, figures, seed)
        everything.cgroup += figures.cgroup
        everything.worker_cpu += figures.worker_cpu
        found.append(row("dockercomp", name, "width_ms", "ms", figures.pool))
        found.append(row("dockercomp", name, "look_us", "us", figures.look_us))
    found.insert(0, row("dockercomp", "cgroup", "applied_ms", "ms", everything.cgroup))
    found.insert(1, row("dockercomp", "worker", "cpu_ms", "ms", everything.worker_cpu))
    return found


def _measure(command: list[str], figures: _Figures, seed: random.Random) -> None:
    """One container: what a look costs, then CHANGES changes while the program works."""
    with _container([*command, "look"]) as container:
        figures.look_us.append(int(_result(container.run(_TASK))) / 1000)
    with _container(command) as container:
        listening = _Listening()
        running = threading.Thread(target=container.run, args=(_TASK, listening))
        running.start()
        try:
            listening.wait_for(1)
            for number in range(CHANGES):
                time.sleep(seed.uniform(0.1, 0.2))
                _change(container, 2 - number % 2, listening, figures)
        finally:
            container.cancel()
            running.join()


def _change(container: WarmContainer, width: int, listening: _Listening, figures: _Figures) -> None:
    decided, used = time.monotonic_ns(), time.process_time_ns()
    container.resize(_size(width))
    applied = container.reading().cpus_limit
    done, spent = time.monotonic_ns(), time.process_time_ns() - used
    if applied != width:
        raise RuntimeError(f"the cgroup says {applied} CPUs after a change to {width}")
    figures.cgroup.append((done - decided) / 1e6)
    figures.worker_cpu.append(spent / 1e6)
    figures.pool.append((listening.wait_for(width) - decided) / 1e6)


def _result(outcome: Outcome) -> bytes:
    if outcome.failure is not None or not isinstance(outcome.payload, bytes):
        raise RuntimeError(f"the program failed: {outcome.failure}")
    return outcome.payload


_TASK = Task(lease="bench", stage=0, index=0, input=b"")


def _size(width: int) -> Size:
    return Size(cpus=float(width), memory=128 * _MIB, scratch=16 * _MIB)


@contextmanager
def _container(command: list[str]) -> Iterator[WarmContainer]:
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder:
        home, job = Path(folder), Path(folder, "job")
        job.mkdir(mode=0o755)
        (job / "change_program.py").write_bytes((_HERE / "change_program.py").read_bytes())
        include = str(Path(inside.__file__).parent)
        flags = ["-std=c99", "-O2", "-static", "-pthread", "-I", include]
        subprocess.run(["cc", *flags, "-o", str(job / "change"), str(_HERE / "change.c")], check=True)
        engine = Engine(instance_label(home), docker_host() or None)
        container = WarmContainer(engine, _order(command), engine_image(), job, 0, _size(1), home)
        try:
            container.start()
            yield container
        finally:
            container.stop()
            engine.close()


def _order(command: list[str]) -> JobOrder:
    return JobOrder(
        version=1,
        job=f"b{secrets.token_hex(4)}",
        name="change",
        image=ImagePin(name="dockercomp/python", config_digest="", platform="linux/amd64"),
        program="",
        split="lines",
        stages=[StageOrder(program=ProgramSpec(command=command))],
        resources=ResourcesSpec(),
    )
