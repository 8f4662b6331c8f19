"""What a chunk costs in a warm container beyond what the same program costs as a bare process on this machine.

1 KiB in, 1 KiB out, one chunk after the other: a Python function, and a command (`cat`). The peers are Docker's own
ways: a container a chunk (`docker-run`), and a process a chunk in a container that runs (`docker-exec`, named with it).
Needs Docker Engine and the image dockercomp/python, which is built where it is missing.
"""

import multiprocessing
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from bench.installation import docker_host, engine_image
from bench.rows import Row, row
from dockercomp.machine.home import instance_label
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder
from worker.container import WarmContainer
from worker.engine import Engine
from worker.tasks import Size, Task

DATA = os.urandom(1024)
CHUNKS = {"function": 500, "command": 100, "docker-run": 5, "docker-exec": 10}
"""How many chunks one run's mean is taken over."""
MODULE = "def same(data):\n    return data\n"
IMAGE = "dockercomp/python:latest"

PROGRAMS = {"function": ProgramSpec(function="work:same"), "command": ProgramSpec(command=["cat"])}


def rows(runs: int, peers: Sequence[str] = ()) -> list[Row]:
    """Microseconds a chunk, in a container and bare, taken in turn; and by how much the first is more."""
    found = []
    for variant, program in PROGRAMS.items():
        with _container(program) as contained, _bare(variant) as bare:
            pairs = [(_mean_us(contained, CHUNKS[variant]), _mean_us(bare, CHUNKS[variant])) for _ in range(runs)]
        found += _rows_of("dockercomp", variant, pairs)
        found.append(row("process", variant, "chunk_us", "us", [outside for _, outside in pairs]))
    if "docker-run" in peers:
        for system, contained in (("docker-run", _docker_run), ("docker-exec", _docker_exec)):
            with contained() as chunk, _bare("command") as bare:
                pairs = [(_mean_us(chunk, CHUNKS[system]), _mean_us(bare, CHUNKS["command"])) for _ in range(runs)]
            found += _rows_of(system, "command", pairs)
    return found


def _rows_of(system: str, variant: str, pairs: Sequence[tuple[float, float]]) -> list[Row]:
    return [
        row(system, variant, "overhead_us", "us", [inside - outside for inside, outside in pairs]),
        row(system, variant, "chunk_us", "us", [inside for inside, _ in pairs]),
    ]


def _mean_us(chunk: Callable[[], object], count: int) -> float:
    chunk()  # the first one starts what then stays warm
    begun = time.perf_counter()
    for _ in range(count):
        chunk()
    return (time.perf_counter() - begun) * 1e6 / count


@contextmanager
def _container(program: ProgramSpec) -> Iterator[Callable[[], object]]:
    """Runs a chunk in a warm container, and checks what comes back."""
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder:
        home, job = Path(folder), Path(folder, "job")
        job.mkdir(mode=0o755)
        (job / "work.py").write_text(MODULE)
        engine = Engine(instance_label(home), docker_host() or None)
        size = Size(cpus=float(os.cpu_count() or 1), memory=128 * 2**20, scratch=16 * 2**20)
        container = WarmContainer(engine, _order(program), engine_image(), job, 0, size, home)
        task = Task(lease="bench", stage=0, index=0, input=DATA)

        def chunk() -> None:
            outcome = container.run(task)
            if outcome.payload != DATA:
                raise RuntimeError(f"the chunk came back wrong: {outcome.failure}")

        try:
            container.start()
            yield chunk
        finally:
            container.stop()
            engine.close()


def _order(program: ProgramSpec) -> JobOrder:
    return JobOrder(
        version=1,
        job=f"b{secrets.token_hex(4)}",
        name="overhead",
        image=ImagePin(name=IMAGE, config_digest="", platform="linux/amd64"),
        program="",
        split="lines",
        stages=[StageOrder(program=program)],
        resources=ResourcesSpec(),
    )


@contextmanager
def _docker_run() -> Iterator[Callable[[], object]]:
    yield lambda: _docker("run", "--rm", "--interactive", "--network=none", IMAGE, "cat")


@contextmanager
def _docker_exec() -> Iterator[Callable[[], object]]:
    name = f"dc-bench-{secrets.token_hex(4)}"
    _docker("run", "--rm", "--detach", "--network=none", "--name", name, IMAGE, "sleep", "infinity")
    try:
        yield lambda: _docker("exec", "--interactive", name, "cat")
    finally:
        _docker("rm", "--force", name)


def _docker(*arguments: str) -> bytes:
    return subprocess.run(["docker", *arguments], input=DATA, stdout=subprocess.PIPE, check=True).stdout


@contextmanager
def _bare(variant: str) -> Iterator[Callable[[], object]]:
    """The same, without a container: a warm process at the other end of a pipe, or a process a chunk."""
    if variant == "command":
        yield lambda: subprocess.run(["cat"], input=DATA, stdout=subprocess.PIPE, check=True)
        return
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    process.start()
    theirs.close()

    def call() -> bytes:
        ours.send_bytes(DATA)
        return ours.recv_bytes()

    try:
        yield call
    finally:
        ours.close()
        process.join()


def _serve(pipe: Connection) -> None:
    names: dict[str, Callable[[bytes], bytes]] = {}
    exec(MODULE, names)
    while True:
        try:
            pipe.send_bytes(names["same"](pipe.recv_bytes()))
        except EOFError:
            return
