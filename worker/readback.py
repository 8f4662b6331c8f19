"""What a container's cgroup says, next to what was planned: the proof in every report."""

import contextlib
import time
from dataclasses import dataclass
from typing import Literal, get_args

from dockercomp.protocol.messages import ContainerReport

from . import cpu_weight
from .engine import EngineError
from .jobs import Jobs
from .parts import Seen
from .reconcile import as_planned
from .slots import Container, Slot
from .tasks import Reading, Size

State = Literal["starting", "idle", "running", "paused", "stopping", "dead"]
_SHORTEST = 0.2
"""Seconds between two readings that make a rate."""
_LONGEST = 500
"""Characters of a list of CPUs that a report takes; a master would not read a longer one at all."""


@dataclass(frozen=True)
class Found:
    """One container's report; and what it is judged by, where it runs."""

    slot: Slot
    report: ContainerReport
    seen: Seen | None = None
    drifted: str = ""
    """How somebody else has changed it, in words; empty where nobody has."""
    pause: bool = False
    """What was changed is whether it is frozen."""


class ReadBack:
    """The keeper's alone. Remembers each container's last reading, for the CPU used between two, and the size that it
    was last seen to have as planned: what differs from it later was changed by somebody else."""

    def __init__(self) -> None:
        self._cpu: dict[int, tuple[str, float, float, float | None]] = {}
        self._proven: dict[int, tuple[str, Size]] = {}

    def look(self, slot: Slot, jobs: Jobs) -> Found | None:
        """The slot's container as it is now; None where there is none."""
        container, planned = slot.container, slot.planned
        if container is None or not container.id:
            return None
        reading = Reading()
        with contextlib.suppress(EngineError, OSError):
            reading = container.reading()
        dead = _vanished(reading) and slot.live
        report = self._report(slot, container, reading, jobs, dead=dead)
        if not slot.live or planned is None or dead:
            return Found(slot, report)
        seen = Seen(container.name, planned, reading, slot.frozen, slot.leaving)
        if reading.frozen is not None and reading.frozen != slot.frozen:
            how = "was paused by somebody else" if reading.frozen else "was let go on by somebody else"
            return Found(slot, report, seen, how, pause=True)
        return Found(slot, report, seen, self._drift(slot.number, container.id, reading, planned))

    def _drift(self, number: int, container: str, reading: Reading, planned: Size) -> str:
        if as_planned(reading, planned):
            self._proven[number] = (container, planned)
        elif self._proven.get(number) == (container, planned):
            return f"had {_said(reading, planned)}"
        return ""

    def _report(self, slot: Slot, container: Container, reading: Reading, jobs: Jobs, *, dead: bool) -> ContainerReport:
        planned, held, job = slot.planned, slot.held, slot.job or jobs.get(container.job)
        weight = reading.weight
        if weight is not None and planned and cpu_weight.same(weight, planned.weight):
            weight = float(planned.weight)
        return ContainerReport(
            name=container.name,
            id=container.id,
            job=container.job,
            state="dead" if dead else _state(container, slot),
            image=job.order.image.name if job else "",
            address=container.address,
            chunk=f"{('map', 'reduce')[min(held.lease.stage, 1)]} {held.lease.index}" if held else "",
            cpus_planned=planned.cpus if planned else 0.0,
            cpus_limit=reading.cpus_limit,
            memory_planned=planned.memory_limit if planned else 0,
            memory_limit=reading.memory_limit,
            cpus_used=self._rate(slot.number, container.id, reading.cpu_seconds),
            memory_used=reading.memory_used,
            read_from=reading.source,
            cpuset=(reading.cpuset or "")[:_LONGEST],
            weight=weight,
        )

    def _rate(self, slot: int, container: str, seconds: float | None) -> float | None:
        """CPUs used since the last reading of this container."""
        if seconds is None:
            return None
        now = time.monotonic()
        of, then, before, rate = self._cpu.get(slot, ("", 0.0, 0.0, None))
        if of == container and now - then < _SHORTEST:
            return rate
        rate = max(0.0, (seconds - before) / (now - then)) if of == container else None
        self._cpu[slot] = (container, now, seconds, rate)
        return rate


def _said(reading: Reading, planned: Size) -> str:
    """What differs, as it was read."""
    words = []
    if reading.cpus_limit is None or abs(reading.cpus_limit - planned.cpus) > 0.01:
        words.append("no CPU limit" if reading.cpus_limit is None else f"{reading.cpus_limit:.4g} CPUs")
    if reading.memory_limit != planned.memory_limit:
        size = reading.memory_limit
        words.append("no memory limit" if size is None else f"a memory limit of {size >> 20} MiB")
    if reading.weight is not None and not cpu_weight.same(reading.weight, planned.weight):
        words.append(f"weight {reading.weight:.0f}")
    if (reading.cpuset or "") != planned.cpuset:
        words.append(f"the CPUs {reading.cpuset}" if reading.cpuset else "no pins")
    return ", ".join(words) or "other limits"


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
