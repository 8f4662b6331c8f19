"""What a container's cgroup says, next to what was planned: the proof in every report."""

import contextlib
import time
from typing import Literal, get_args

from dockercomp.protocol.messages import ContainerReport

from .engine import EngineError
from .jobs import Jobs
from .slots import Container, Slot
from .tasks import Reading

State = Literal["starting", "idle", "running", "paused", "stopping", "dead"]
_SHORTEST = 0.2
"""Seconds between two readings that make a rate."""


class ReadBack:
    """Remembers the last reading of each container, for the CPU used between two."""

    def __init__(self) -> None:
        self._cpu: dict[str, tuple[float, float, float | None]] = {}

    def report(self, slot: Slot, jobs: Jobs) -> ContainerReport | None:
        """The slot's container as it is now; None where there is none."""
        container, planned, held = slot.container, slot.planned, slot.held
        if container is None or not container.id:
            return None
        reading = Reading()
        with contextlib.suppress(EngineError, OSError):
            reading = container.reading()
        job = jobs.get(container.job)
        return ContainerReport(
            name=container.name,
            id=container.id,
            job=container.job,
            state="dead" if _vanished(reading) and slot.live else _state(container, slot),
            image=job.order.image.name if job else "",
            address=container.address,
            chunk=f"{('map', 'reduce')[held.lease.stage]} {held.lease.index}" if held else "",
            cpus_planned=planned.cpus if planned else 0.0,
            cpus_limit=reading.cpus_limit,
            memory_planned=planned.memory_limit if planned else 0,
            memory_limit=reading.memory_limit,
            cpus_used=self._rate(slot.number, container.id, reading.cpu_seconds),
            memory_used=reading.memory_used,
            read_from=reading.source,
        )

    def _rate(self, slot: int, container: str, seconds: float | None) -> float | None:
        """CPUs used since the last reading of this container."""
        if seconds is None:
            return None
        key, now = f"{slot} {container}", time.monotonic()
        then, before, rate = self._cpu.get(key, (0.0, 0.0, None))
        if key in self._cpu and now - then < _SHORTEST:
            return rate
        rate = max(0.0, (seconds - before) / (now - then)) if key in self._cpu else None
        self._cpu = {k: v for k, v in self._cpu.items() if not k.startswith(f"{slot} ")}
        self._cpu[key] = (now, seconds, rate)
        return rate


def _vanished(reading: Reading) -> bool:
    """There was a cgroup to read, and it is there no more: all of the container's processes have ended."""
    return bool(reading.source) and reading.cpu_seconds is None and reading.memory_used is None


def _state(container: Container, slot: Slot) -> State:
    if slot.frozen:
        return "paused"
    if slot.live:
        return "running" if slot.held else "idle"
    states: dict[str, State] = {state: state for state in get_args(State)}
    return states.get(container.state, "starting")
