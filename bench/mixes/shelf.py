"""Warm containers for the programs of a mix: the worker's own, on this machine's engine, taken and put back."""

import secrets
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.installation import IMAGE, docker_host, engine_image
from bench.mixes import programs
from dockercomp.machine.home import instance_label
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder
from worker.container import WarmContainer
from worker.engine import Engine
from worker.invocation import JOB_FOLDER
from worker.pinning import Pins
from worker.tasks import EngineFacts, Outcome, Size, Task

MEMORY, SCRATCH = 128 * 2**20, 8 * 2**20


@dataclass
class Shelf:
    """Not for several threads at once, but `run` is."""

    engine: Engine
    home: Path
    image: str
    facts: EngineFacts
    rates: Mapping[str, float]

    def __post_init__(self) -> None:
        self.pins = Pins.of_engine(self.engine.host, self.facts.cpus)
        self._free: dict[str, list[WarmContainer]] = defaultdict(list)
        self._all: list[WarmContainer] = []

    def take(self, program: str) -> WarmContainer:
        """A free container of this program, started where there is none."""
        if self._free[program]:
            return self._free[program].pop()
        container = WarmContainer(
            self.engine, _order(program, self.facts), self.image, self.home / "job", len(self._all),
            Size(cpus=float(self.facts.cpus), memory=MEMORY, scratch=SCRATCH), self.home,
        )  # fmt: skip
        self._all.append(container)
        container.start()
        return container

    def put(self, program: str, container: WarmContainer) -> None:
        self._free[program].append(container)

    def warm(self, counts: Mapping[str, int]) -> None:
        """Have so many of each ready."""
        for program, count in counts.items():
            for container in [self.take(program) for _ in range(count)]:
                self.put(program, container)

    def run(self, program: str, container: WarmContainer, size: float) -> Outcome:
        """Run what takes `size` seconds with one CPU. Raises RuntimeError where it fails."""
        rounds = max(1, round(size * self.rates[program]))
        outcome = container.run(Task(lease="mix", stage=0, index=0, input=b"", start=rounds, stop=rounds + 1))
        if outcome.failure is not None:
            raise RuntimeError(f"{program} failed: {outcome.failure.message}")
        return outcome

    def close(self) -> None:
        if self.pins is not None:
            self.pins.none()
        for container in self._all:
            container.stop()


@contextmanager
def shelf() -> Iterator[Shelf]:
    """Builds and times the programs; removes all containers in the end."""
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder:
        home = Path(folder)
        programs.build(home / "job")
        engine = Engine(instance_label(home), docker_host() or None)
        found = Shelf(engine, home, engine_image(), engine.facts(), programs.rates(home / "job"))
        try:
            yield found
        finally:
            found.close()
            engine.close()


def _order(program: str, facts: EngineFacts) -> JobOrder:
    return JobOrder(
        version=1,
        job=f"{program}{secrets.token_hex(3)}",
        name=program,
        image=ImagePin(name=IMAGE, config_digest="", platform=facts.platform),
        program="",
        split="range",
        stages=[StageOrder(program=ProgramSpec(command=[f"{JOB_FOLDER}/{program}", "{start}"]))],
        resources=ResourcesSpec(cpus=float(facts.cpus)),
    )
