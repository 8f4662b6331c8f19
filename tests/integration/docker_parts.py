"""What tests with real containers share: the engine, the image, and containers that are always removed."""

import hashlib
import os
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dockercomp.machine.home import instance_label
from dockercomp.protocol import bundle
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, Split, StageOrder
from worker.container import WarmContainer
from worker.engine import Engine
from worker.live import Live
from worker.tasks import Outcome, Size, Task

IMAGE = "dockercomp/python:latest"
BUILD = Path(__file__).resolve().parents[2] / "docker" / "python" / "build"
ARCHIVE = Path(__file__).resolve().parents[2] / ".tests" / "cache" / "python.tar"
"""The image as the tests built it, once for all of them."""
MIB = 2**20

Start = Callable[..., WarmContainer]
"""The fixture `start`: (order, program folder, size) to a started container."""


def engine_for(home: Path) -> Engine:
    return Engine(instance_label(home), os.environ.get("DC_DOCKER_HOST", os.environ.get("DOCKER_HOST", "")))


def image_id(engine: Engine) -> str:
    """The engine's id of dockercomp/python, built where it is missing."""
    found = engine.image_id(IMAGE)
    if found is None:
        subprocess.run([str(BUILD), "--archive", str(ARCHIVE)], check=True)
        found = engine.image_id(IMAGE)
    assert found is not None, "the image was built but the engine does not have it"
    return found


def order_of(
    *stages: ProgramSpec | StageOrder,
    split: Split = "lines",
    environment: dict[str, str] | None = None,
    time_limit: float = 60.0,
    **more: Any,
) -> JobOrder:
    return JobOrder(
        version=1,
        job=f"j{secrets.token_hex(5)}",
        name="test",
        image=ImagePin(name="dockercomp/python", config_digest="sha256:" + "0" * 64, platform="linux/amd64"),
        program="",
        split=split,
        stages=[stage if isinstance(stage, StageOrder) else StageOrder(program=stage) for stage in stages],
        resources=ResourcesSpec(time_limit=time_limit),
        environment=environment or {},
        **more,
    )


def sh(script: str, **more: Any) -> JobOrder:
    return order_of(ProgramSpec(command=["sh", "-c", script]), **more)


def task(data: bytes | Path = b"", **more: Any) -> Task:
    return Task(**{"lease": "l", "stage": 0, "index": 3, "input": data, **more})


class Hearing(Live):
    """Does something when a chunk says the first word, and at every further one."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__("l")
        self._act = act

    def log(self, part: bytes) -> None:
        super().log(part)
        self._act()


def payload(outcome: Outcome) -> bytes:
    assert outcome.failure is None, outcome.failure
    return outcome.payload if isinstance(outcome.payload, bytes) else outcome.payload.read_bytes()


def files(outcome: Outcome) -> dict[str, bytes]:
    """The files of a result that is a bundle."""
    whole = payload(outcome)
    assert hashlib.sha256(whole).hexdigest() == outcome.digest
    return {entry.name: whole[entry.offset : entry.offset + entry.size] for entry in bundle.entries(whole)}


def failure(outcome: Outcome) -> tuple[str, int | None]:
    assert outcome.failure is not None, outcome.payload
    return outcome.failure.reason, outcome.failure.exit_code


def reason(outcome: Outcome) -> str:
    return failure(outcome)[0]


def container_of(
    engine: Engine, home: Path, order: JobOrder, program: Path | None = None, size: Size | None = None
) -> WarmContainer:
    """Not started yet."""
    size = size or Size(cpus=1.0, memory=128 * MIB, scratch=16 * MIB)
    return WarmContainer(engine, order, image_id(engine), program, 0, size, home)
