"""What a chunk costs in a warm container beyond what the same program costs as a bare process on this machine.

1 KiB in, 1 KiB out, one chunk after the other: a Python function, and a command (`cat`). Needs Docker Engine and the
image dockercomp/python, which is built where it is missing.
"""

import multiprocessing
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from bench.rows import Row, row
from dockercomp.machine.home import instance_label
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder
from worker.container import WarmContainer
from worker.engine import Engine
from worker.tasks import Size, Task

DATA = os.urandom(1024)
CHUNKS = {"function": 500, "command": 100}
"""How many chunks one run's mean is taken over."""
MODULE = "def same(data):\n    return data\n"
IMAGE = "dockercomp/python:latest"

PROGRAMS = {"function": ProgramSpec(function="work:same"), "command": ProgramSpec(command=["cat"])}


def rows(runs: int) -> list[Row]:
    """Microseconds a chunk, in a container and bare, taken in turn; and by how much the first is more."""
    found = []
    for variant, program in PROGRAMS.items():
        with _container(program) as contained, _bare(variant) as bare:
            pairs = [(_mean_us(contained, CHUNKS[variant]), _mean_us(bare, CHUNKS[variant])) for _ in range(runs)]
        found += [
            row("dockercomp", variant, "overhead_us", "us", [inside - outside for inside, outside in pairs]),
            row("dockercomp", variant, "chunk_us", "us", [inside for inside, _ in pairs]),
            row("process", variant, "chunk_us", "us", [outside for _, outside in pairs]),
        ]
    return found


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
        engine = Engine(instance_label(home), os.environ.get("DC_DOCKER_HOST") or os.environ.get("DOCKER_HOST"))
        size = Size(cpus=float(os.cpu_count() or 1), memory=128 * 2**20, scratch=16 * 2**20)
        container = WarmContainer(engine, _order(program), _image(engine), job, 0, size, home)
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


def _image(engine: Engine) -> str:
    found = engine.image_id(IMAGE)
    if found is None:
        subprocess.run([str(Path(__file__).parents[1] / "docker/python/build")], check=True)
        found = engine.image_id(IMAGE)
    if found is None:
        raise RuntimeError(f"{IMAGE} was built, but this engine does not have it")
    return found


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
