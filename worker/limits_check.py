"""The doctor's proof that limits hold here: a tiny container whose limits are set, changed, and read back."""

import contextlib
import http.client
from pathlib import Path

from dockercomp.machine import docker_host
from dockercomp.protocol.orders import ORDER_VERSION, ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder

from .container import WarmContainer
from .describe import Check
from .engine import Engine, EngineError
from .limits import MIB, Unlimited
from .tasks import EngineFacts, Reading, Size

_SLOT = 0
"""The daemon's slots begin at 1."""
_FIRST = Size(cpus=0.5, memory=32 * MIB, scratch=8 * MIB)
_SECOND = Size(cpus=0.25, memory=48 * MIB, scratch=8 * MIB)


def limits_check(engine: Engine, address: str, facts: EngineFacts, home: Path, unlimited: Unlimited) -> Check:
    """Runs nothing but our own runner, in whichever image is there; without one it says so.

    `unlimited` is what the volunteer wants where limits do not hold: then this is a failure, or a warning.
    """
    image = _some_image(address)
    if not image:
        return _unread(facts, unlimited)
    container = WarmContainer(engine, _order(facts.platform), image, None, _SLOT, _FIRST, home)
    try:
        container.start()
        first = container.reading()
        with contextlib.suppress(EngineError):  # that it cannot be changed shows in what is read
            container.resize(_SECOND)
        return judge(first, container.reading(), unlimited)
    except EngineError as error:
        todo = "docker info shows what the engine thinks of this machine"
        return Check(name="limits", result="FAIL", finding=f"a locked container cannot be run: {error}", todo=todo)
    finally:
        with contextlib.suppress(EngineError):
            container.stop()


def _unread(facts: EngineFacts, unlimited: Unlimited) -> Check:
    """Without an image only the engine's own word is there."""
    if facts.limits:
        finding = "not tried: the engine has no image yet; it can be once the first job has brought one"
        return Check(name="limits", result="warn", finding=finding)
    return _broken("the engine says that it can limit neither CPU nor memory", unlimited)


def judge(first: Reading, second: Reading, unlimited: Unlimited = "refuse") -> Check:
    """Compares what was read back with what was set; says which limits hold."""
    wanted = [(size.cpus, size.memory_limit) for size in (_FIRST, _SECOND)]
    read = [(reading.cpus_limit, reading.memory_limit) for reading in (first, second)]
    if read == wanted:
        finding = f"set, changed and read back from {second.source}: {_said(*read[1])}"
        return Check(name="limits", result="ok", finding=finding)
    holds = [
        name
        for place, name in enumerate(("CPU", "memory"))
        if all(is_read[place] == is_wanted[place] for is_read, is_wanted in zip(read, wanted, strict=True))
    ]
    finding = (
        f"set {_said(*wanted[0])}, then {_said(*wanted[1])}; read back {_said(*read[0])}, then {_said(*read[1])}:"
        f" {' and '.join(holds) or 'none of them'} holds, scratch does"
    )
    return _broken(finding, unlimited)


def _broken(finding: str, unlimited: Unlimited) -> Check:
    mend = "rootless Docker enforces limits with cgroup v2 and delegation, not with cgroup v1"
    if unlimited == "warn":
        return Check(
            name="limits", result="warn", finding=f"{finding}; work runs without (DC_UNLIMITED=warn)", todo=mend
        )
    todo = f"{mend}; no work is taken until then, unless you set DC_UNLIMITED=warn"
    return Check(name="limits", result="FAIL", finding=finding, todo=todo)


def _some_image(address: str) -> str:
    """The id of the smallest image that the engine has; empty where it has none."""
    try:
        images = docker_host.ask(address, "GET", "/images/json")
    except (OSError, ValueError, http.client.HTTPException):
        return ""
    return str(min(images, key=lambda image: image["Size"])["Id"]) if images else ""


def _order(platform: str) -> JobOrder:
    pin = ImagePin(name="doctor", config_digest="", platform=platform)
    resources = ResourcesSpec(cpus=_FIRST.cpus, memory=_FIRST.memory, disk=_FIRST.scratch)
    stage = ProgramSpec(command=["true"])
    return JobOrder(
        version=ORDER_VERSION,
        job="doctor",
        name="doctor",
        image=pin,
        program="",
        split="range",
        stages=[StageOrder(program=stage)],
        resources=resources,
    )


def _said(cpus: float | None, memory: int | None) -> str:
    cores = "no limit" if cpus is None else f"{cpus:g}"
    size = "no limit" if memory is None else f"{memory / MIB:g} MiB"
    return f"{cores} CPUs and {size}"
