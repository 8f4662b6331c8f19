"""What tests with real containers share: the engine, the image, and containers that are always removed."""

import os
import secrets
import subprocess
from pathlib import Path

from dockercomp.machine.home import instance_label
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, Split, StageOrder
from worker.container import WarmContainer
from worker.engine import Engine
from worker.tasks import Size

IMAGE = "dockercomp/python:latest"
_BUILD = Path(__file__).resolve().parents[2] / "docker" / "python" / "build"
MIB = 2**20


def engine_for(home: Path) -> Engine:
    return Engine(instance_label(home), os.environ.get("DC_DOCKER_HOST", os.environ.get("DOCKER_HOST", "")))


def image_id(engine: Engine) -> str:
    """The engine's id of dockercomp/python, built where it is missing."""
    found = engine.image_id(IMAGE)
    if found is None:
        subprocess.run([str(_BUILD)], check=True)
        found = engine.image_id(IMAGE)
    assert found is not None, "the image was built but the engine does not have it"
    return found


def order_of(
    *stages: ProgramSpec,
    split: Split = "lines",
    environment: dict[str, str] | None = None,
    time_limit: float = 60.0,
) -> JobOrder:
    return JobOrder(
        version=1,
        job=f"j{secrets.token_hex(5)}",
        name="test",
        image=ImagePin(name="dockercomp/python", config_digest="sha256:" + "0" * 64, platform="linux/amd64"),
        program="",
        split=split,
        stages=[StageOrder(program=stage) for stage in stages],
        resources=ResourcesSpec(time_limit=time_limit),
        environment=environment or {},
    )


def container_of(
    engine: Engine, home: Path, order: JobOrder, program: Path | None = None, size: Size | None = None
) -> WarmContainer:
    """Not started yet."""
    size = size or Size(cpus=1.0, memory=128 * MIB, scratch=16 * MIB)
    return WarmContainer(engine, order, image_id(engine), program, 0, size, home)
