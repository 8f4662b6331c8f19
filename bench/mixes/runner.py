"""The gated runner: at most K programs of a mix in flight, each in its container, their CPU divided by the worker's own
division whenever one begins or ends; timed."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.mixes.generator import Item
from bench.mixes.shelf import MEMORY, SCRATCH, Shelf
from bench.mixes.simulator import Policy, Timing
from dockercomp.protocol.messages import Allocation, Ceiling, JobPoints, Point
from dockercomp.protocol.speedup import added, run_of
from worker.container import WarmContainer
from worker.division import Computing, Division, Share
from worker.tasks import Size


@dataclass
class _Flight:
    item: Item
    container: WarmContainer
    slot: int


class Runner:
    """One machine at work under one policy."""

    def __init__(self, shelf: Shelf, in_flight: int, policy: Policy, known: Sequence[JobPoints]) -> None:
        self._shelf, self._gate = shelf, threading.BoundedSemaphore(in_flight)
        cpus = shelf.facts.cpus
        self._allowed = Allocation(
            version=1, containers=in_flight, cpus=cpus / in_flight, memory=MEMORY + SCRATCH, policy=policy
        )
        self._ceiling = Ceiling(containers=in_flight, cpus=cpus, memory=in_flight * (MEMORY + SCRATCH))
        self._division = Division(cpus, shelf.pins)
        self._division.learned(known)
        self._flying: dict[int, _Flight] = {}
        self._lock = threading.Lock()
        self._timings: list[Timing] = []
        self._failed: list[BaseException] = []

    def run(self, items: Sequence[Item]) -> list[Timing]:
        """Run all of them in the order of arrival; their timings by number. Raises what went wrong in one."""
        begun = time.perf_counter()
        threads = []
        for item in items:
            time.sleep(max(0.0, item.arrives_s - (time.perf_counter() - begun)))
            self._gate.acquire()
            thread = threading.Thread(target=self._fly, args=(item, begun))
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
        if self._failed:
            raise self._failed[0]
        return sorted(self._timings, key=lambda timing: timing.item.number)

    def _fly(self, item: Item, begun: float) -> None:
        try:
            with self._lock:
                container = self._shelf.take(item.program)
                self._flying[item.number] = _Flight(item, container, item.number)
                self._divide()
            at = time.perf_counter() - begun
            self._shelf.run(item.program, container, item.size)
            ended = time.perf_counter() - begun
            with self._lock:
                del self._flying[item.number]
                self._shelf.put(item.program, container)
                self._timings.append(Timing(item, at, ended))
                self._divide()
        except BaseException as error:
            self._failed.append(error)
        finally:
            self._gate.release()

    def _divide(self) -> None:
        """Give each program in flight its share, those that shrink first. With the lock held."""
        computing = [
            Computing(slot=number, job=flight.item.program, stage=0, least=0.0, most=float(self._shelf.facts.cpus))
            for number, flight in self._flying.items()
        ]
        shares = self._division.shares(self._allowed, self._ceiling, [], computing) if computing else {}
        sizes = {number: _size(share) for number, share in shares.items()}
        for number in sorted(sizes, key=lambda n: sizes[n].cpus - self._flying[n].container.size.cpus):
            container = self._flying[number].container
            if container.size != sizes[number]:
                container.resize(sizes[number])


def _size(share: Share) -> Size:
    return Size(share.cpus, MEMORY, SCRATCH, weight=share.weight, cpuset=share.cpuset, width=share.width)


def needed(items: Sequence[Item], in_flight: int) -> dict[str, int]:
    """Containers of each program that may be in flight at once."""
    return {program: min(count, in_flight) for program, count in Counter(item.program for item in items).items()}


def sweep(shelf: Shelf, program: str, widths: Sequence[float], runs: int, size: float) -> list[Point]:
    """Runs of one program alone at several widths: wall and CPU seconds, added up by width."""
    container, found = shelf.take(program), []
    for _ in range(runs):
        for width in widths:
            container.resize(Size(width, MEMORY, SCRATCH, width=max(1.0, float(round(width + 1e-9)))))
            outcome = shelf.run(program, container, size)
            found.append(run_of(width, outcome.wall_s, outcome.cpu_s))
    shelf.put(program, container)
    return added(found)


def split(shelf: Shelf, program: str, weights: tuple[int, int], size: float) -> tuple[float, float]:
    """When each of two equal programs ended that began together, their containers weighing so much; seconds."""
    containers, ended = [shelf.take(program) for _ in weights], [0.0, 0.0]
    cpus = float(shelf.facts.cpus)
    for container, weight in zip(containers, weights, strict=True):
        container.resize(Size(cpus, MEMORY, SCRATCH, weight=weight, width=cpus))
    begun = time.perf_counter()

    def one(number: int) -> None:
        shelf.run(program, containers[number], size)
        ended[number] = time.perf_counter() - begun

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for container in containers:
        shelf.put(program, container)
    return ended[0], ended[1]
