"""A job's first chunks at several widths, so that its speed-up is known early. Widths in CPUs.

Only what the job's own containers would get by an equal division is moved between them, so that no other job is slower
for it. A chunk that began at a width keeps it to its end while that is possible: another tells nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, isclose
from typing import Protocol

from dockercomp.protocol.messages import JobPoints

from .cpu_plan import LEAST

RUNS = 3
"""Chunks that are to run at each width."""
SMALL = 4.0
"""With fewer CPUs than this, widths go by halves instead of by doubling."""
KEPT = 0.5
"""Of its equal share, what each container keeps while another of the job runs wider."""
REMEMBERED = 500
"""Stages of jobs that are remembered; the oldest are forgotten."""

Key = tuple[str, int]
"""Job and stage."""


class Sweeper(Protocol):
    """A container that computes (division.Computing)."""

    @property
    def slot(self) -> int: ...
    @property
    def job(self) -> str: ...
    @property
    def stage(self) -> int: ...
    @property
    def least(self) -> float: ...
    @property
    def most(self) -> float: ...
    @property
    def chunk(self) -> str: ...


def widths(least: float, most: float) -> list[float]:
    """Those to run at, the narrowest first: 1, 2, 4 … and `most`, or 0.5, 1 … where that is small."""
    if most < SMALL:
        found = {number / 2 for number in range(1, floor(2 * most) + 1)}
    else:
        found = {2.0**power for power in range(floor(most).bit_length())}
    return sorted(width for width in found | {most} if width >= least)


@dataclass(frozen=True)
class _Run:
    """What was decided when a chunk began; width 0: it runs at any."""

    chunk: str
    key: Key
    width: float


class Sweeps:
    """Which widths are tried, and how often each was. For one thread, apart from `learned`."""

    def __init__(self) -> None:
        self._known: dict[Key, dict[float, int]] = {}
        self._ended: dict[Key, Counter[float]] = defaultdict(Counter)
        self._runs: dict[int, _Run] = {}

    def learned(self, points: Iterable[JobPoints]) -> None:
        """Runs of the whole pool; those of this machine are among them."""
        found = {(known.job, known.stage): {p.width: p.runs for p in known.points} for known in points}
        self._known = dict(list({**self._known, **found}.items())[-REMEMBERED:])

    def assigned(self, sweeping: Sequence[Sweeper], fair: Mapping[int, float], budget: float) -> dict[int, float]:
        """The width of each container of a job that has a chunk running at a width to be tried; containers not named
        get theirs by the policy. `fair` is what each slot gets by an equal division of the budget."""
        now = {sweeper.slot: sweeper for sweeper in sweeping if sweeper.chunk}
        self._note_ended(now)
        groups: dict[Key, list[Sweeper]] = defaultdict(list)
        for sweeper in sorted(now.values(), key=lambda one: (one.slot not in self._runs, one.slot)):
            groups[sweeper.job, sweeper.stage].append(sweeper)
        found: dict[int, float] = {}
        for key, group in groups.items():
            found |= self._of_job(key, group, fair, budget)
        return found

    def _note_ended(self, now: Mapping[int, Sweeper]) -> None:
        for slot, run in list(self._runs.items()):
            if slot not in now or now[slot].chunk != run.chunk:
                del self._runs[slot]
                if run.width:
                    self._ended[run.key][run.width] += 1
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def _of_job(self, key: Key, group: Sequence[Sweeper], fair: Mapping[int, float], budget: float) -> dict[int, float]:
        """What the job's containers would get equally, divided so that missing widths run; nothing where none does."""
        room = sum(fair[sweeper.slot] for sweeper in group)
        keep = {one.slot: max(KEPT * fair[one.slot], min(max(LEAST, one.least), fair[one.slot])) for one in group}
        kept = sum(keep.values())
        found: dict[int, float] = {}
        free = []
        for sweeper in group:
            kept -= keep[sweeper.slot]
            run = self._runs.get(sweeper.slot)
            if run is None:
                run = _Run(sweeper.chunk, key, self._choice(key, sweeper, min(sweeper.most, budget), room - kept))
            elif run.width > room - kept + 1e-9:
                run = _Run(sweeper.chunk, key, 0.0)
            self._runs[sweeper.slot] = run
            if run.width:
                found[sweeper.slot] = run.width
                room -= run.width
            else:
                free.append(sweeper)
                kept += keep[sweeper.slot]
        return found | {one.slot: min(one.most, room / len(free)) for one in free} if found else {}

    def _choice(self, key: Key, sweeper: Sweeper, most: float, room: float) -> float:
        """The width that has the fewest runs, of these the widest; 0 where all that fit have enough."""
        running = Counter(run.width for run in self._runs.values() if run.key == key)
        runs = {
            width: max(self._ended[key][width], self._pool(key, width)) + running[width]
            for width in widths(sweeper.least, most)
            if width <= room + 1e-9
        }
        wanted = [width for width, count in runs.items() if count < RUNS]
        return min(wanted, key=lambda width: (runs[width], -width), default=0.0)

    def _pool(self, key: Key, width: float) -> int:
        known = self._known.get(key, {})
        return sum(runs for ran, runs in known.items() if isclose(ran, width, rel_tol=0.05))
