"""One slot: a thread with at most one warm container, which takes chunk after chunk."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from dockercomp.protocol.messages import Allocation, Ceiling, Failure
from dockercomp.protocol.orders import JobOrder

from . import limits
from .checkpoints import Checkpoints
from .division import LINGER_S, Share
from .engine import EngineError, ImageMissing
from .gate import Gate
from .jobs import Job, Jobs
from .leases import Held, Leases
from .leftovers import Leftovers
from .limits import TooSmall
from .live import Live, Watched
from .pace import ChunkTimes
from .patience import backoff
from .reconcile import in_force
from .room import NoRoomYet, Room
from .tasks import Outcome, Reading, Size, Task

log = logging.getLogger(__name__)

DEATHS_FORGIVEN = 2
"""Times in a row that a container may die under a chunk before the chunk is blamed."""
LONGEST_BACKOFF = 60.0
IMAGE_AGAIN_S = 10.0
"""Seconds until a job may come again whose image was removed from the engine meanwhile."""
_LOOK_AGAIN = 5.0
_SHARE_S = 2.0
"""Seconds that a chunk waits at most for its container's share of the CPU."""


class Container(Protocol):
    """What a slot needs of a warm container (worker/container.py)."""

    id: str
    name: str
    job: str
    address: str

    @property
    def state(self) -> str: ...
    @property
    def current_lease(self) -> str: ...
    def start(self) -> None: ...
    def run(self, task: Task, live: Live) -> Outcome: ...
    def resize(self, size: Size) -> None: ...
    def reading(self) -> Reading: ...
    def pause(self) -> None: ...
    def unpause(self) -> None: ...
    def cancel(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Floor:
    """What all slots share; the keeper writes `ceiling`, `allowed` and `paused`."""

    leases: Leases
    jobs: Jobs
    times: ChunkTimes
    make: Callable[[Job, int, Size], Container]
    """A container of a job for a slot; not started yet."""
    ceiling: Ceiling
    checkpoints: Checkpoints
    gate: Gate
    leftovers: Leftovers
    watched: Watched = field(default_factory=Watched)
    room: Room = field(default_factory=Room)
    allowed: Allocation | None = None
    """The allocation as clipped by the ceiling; None until the master has given one."""
    shares: Mapping[int, Share] = field(default_factory=dict)
    """What each slot's container gets of the CPU, as it was last divided."""
    paused: bool = False
    """No slot takes a chunk."""
    limits_hold: bool = True
    """Whether limits were found in force, as far as anything was read back yet."""
    unlimited: Literal["refuse", "warn"] = "refuse"
    """What the volunteer wants where they are not."""
    news: Callable[[], None] = lambda: None
    """Something about a container is worth reading back and telling."""
    _divided: threading.Condition = field(default_factory=threading.Condition)
    _served: frozenset[str] = frozenset()

    def size_for(self, number: int, order: JobOrder) -> Size:
        """What a slot's container of the job gets now. Raises TooSmall."""
        if self.allowed is None:
            raise TooSmall("has no allocation here yet")
        return self.shaped(number, limits.container_size(self.allowed, self.ceiling, order.resources))

    def shaped(self, number: int, size: Size) -> Size:
        """The size with the CPU that the slot has now."""
        share = self.shares.get(number)
        if share is None:
            return size
        return replace(
            size,
            cpus=share.cpus,
            weight=share.weight,
            cpuset=share.cpuset,
            width=share.width,
            timed_as=share.had,
        )

    def allows(self, order: JobOrder) -> bool:
        """Whether the admin lets the job run here."""
        patterns = self.allowed.jobs if self.allowed else []
        return not patterns or any(
            fnmatchcase(word, pattern) for word in (order.job, order.name) for pattern in patterns
        )

    def may_run(self, job: str) -> bool:
        """Whether a chunk of the job may begin: its image is here, and the admin allows it."""
        found = self.jobs.get(job)
        return found is not None and self.jobs.runnable(job) and self.allows(found.order)

    @property
    def shares_cpus(self) -> bool:
        """Whether containers may use each other's CPUs."""
        return self.allowed is not None and self.allowed.policy == "overcommit"

    def divided(self, leases: frozenset[str]) -> None:
        """The CPU is divided among the chunks of these leases, and all containers have their shares."""
        with self._divided:
            self._served = leases
            self._divided.notify_all()

    def await_share(self, lease: str) -> None:
        """Returns once the CPU is divided with this chunk in mind, or that takes too long."""
        self.news()
        with self._divided:
            self._divided.wait_for(lambda: lease in self._served, _SHARE_S)


@dataclass
class Slot:
    """`leaving` ends the thread after its chunk; `giving_back` returns that chunk unless it succeeds."""

    number: int
    floor: Floor
    container: Container | None = None
    job: Job | None = None
    """The container's, also after it was refused or has ended, while its last chunk runs."""
    live: bool = False
    """The container has started: it may be resized, paused and read."""
    planned: Size | None = None
    frozen: bool = False
    gone: bool = False
    """Its container was found dead, or may not go on; the slot removes it when it is idle."""
    held: Held | None = None
    ended_at: float = -math.inf
    """When its last chunk ended."""
    resting: bool = False
    """It takes no chunk until the keeper has changed its container."""
    leaving: bool = False
    giving_back: bool = False
    ended: bool = False
    deaths: int = 0
    resume_at: float = 0.0
    trouble: str = ""
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._loop, name=f"slot-{self.number}", daemon=True)

    @property
    def able(self) -> bool:
        """Would take a chunk now, or after the one it runs."""
        return not (self.leaving or self.ended) and time.monotonic() >= self.resume_at

    def _loop(self) -> None:
        try:
            while not self.leaving:
                if self._useless():
                    self._drop()
                self.held = self._take()
                if self.held:
                    self._work(self.held)
                    self.held, self.ended_at = None, time.monotonic()
                    if self.resting or self.leaving:
                        self.floor.news()
        finally:
            try:
                self._drop()
            finally:
                self.ended = True
                self.floor.news()

    def _useless(self) -> bool:
        """The container's job has ended or is not allowed here any more, or the container has ended."""
        if self.container is None:
            return False
        job = self.floor.jobs.get(self.container.job)
        return self.gone or job is None or not self.floor.allows(job.order)

    def _take(self) -> Held | None:
        """The next chunk; None when something else may have to be done first."""
        leases = self.floor.leases
        with leases.changed:
            if self.leaving or self._useless():
                return None
            backoff = self.resume_at - time.monotonic()
            if not (self.floor.paused or self.resting) and backoff <= 0:
                held = leases.take(self.container.job if self.container else "", self.floor.may_run)
                if held:
                    return held
            leases.changed.wait(min(backoff, _LOOK_AGAIN) if backoff > 0 else _LOOK_AGAIN)
            return None

    def _work(self, held: Held) -> None:
        lease, job = held.lease, self.floor.jobs.get(held.lease.job)
        if job is None or held.task is None:
            self.floor.leases.returned(lease.id)
            return
        try:
            if self._waits_for_share(job.order):
                self.floor.await_share(lease.id)
            container = self._warm(job)
            begun = time.monotonic()
            outcome = self._watched(container, held, job)
        except TooSmall as error:
            self._refuse(held, str(error))
        except NoRoomYet as error:
            self.trouble, self.resume_at = f"slot {self.number} waits: {error}.", time.monotonic() + 0.5
            self.floor.leases.again(held)
        except ImageMissing:
            self._drop()
            self._refuse(held, "its image was removed from the engine", IMAGE_AGAIN_S)  # its order fetches it again
        except EngineError as error:
            self._died(held, str(error), None)
        except Exception as error:
            log.exception("lease %s: running it failed in the worker itself", lease.id)
            failure = Failure(reason="engine", message=f"The worker failed: {type(error).__name__}: {error}")
            self._died(held, str(error), Outcome(failure=failure))
        else:
            self._settle(held, outcome, time.monotonic() - begun)

    def _waits_for_share(self, order: JobOrder) -> bool:
        """Whether the CPU may have to be divided anew before the chunk begins: it is not while chunk follows chunk."""
        if order.resources.sweep:
            return True
        follows = self.container is not None and time.monotonic() - self.ended_at < LINGER_S
        return not follows and self.floor.allowed is not None and self.floor.allowed.policy != "fixed"

    def _watched(self, container: Container, held: Held, job: Job) -> Outcome:
        """Run it, so that others can look on, and so that a restarted worker could go on from its checkpoints."""
        assert held.task is not None

        def claim() -> None:
            if job.signed is not None:
                with contextlib.suppress(OSError):  # then it cannot
                    self.floor.checkpoints.claim(held.lease, job.signed, held.ends - time.monotonic())

        live = Live(held.lease.id, on_checkpoint=claim)
        self.floor.watched.begin(live)
        try:
            return container.run(held.task, live)
        finally:
            self.floor.watched.end(live)

    def _warm(self, job: Job) -> Container:
        """The container of the job, started if there is none. Raises TooSmall, NoRoomYet, EngineError."""
        if self.container and self.container.job == job.order.job:
            return self.container
        self._drop()
        size = self.floor.size_for(self.number, job.order)
        self.floor.room.take(self.number, size, self.floor.ceiling, share_cpus=self.floor.shares_cpus)
        self.job, container = job, self.floor.make(job, self.number, size)
        self.container = container
        container.start()
        if not in_force(container.reading(), size):
            self.floor.limits_hold = False
            if self.floor.unlimited == "refuse":
                raise EngineError("its limits on CPU and memory are not in force, as its cgroup says")
        self.planned, self.live, self.trouble = size, True, ""
        self.floor.news()
        return container

    def _settle(self, held: Held, outcome: Outcome, seconds: float) -> None:
        failure = outcome.failure
        if failure is None:
            self.deaths, self.trouble = 0, ""
            self.floor.times.note(held.lease.job, seconds)
            self.floor.leases.finished(held.lease.id, outcome)
        elif outcome.refuse and not held.cancelled:
            self._refuse(held, outcome.refuse)
        elif self.giving_back or held.cancelled or failure.reason == "refused":
            self._return(held)
        elif failure.reason == "engine":
            self._died(held, failure.message, outcome)
            return
        else:
            log.info("lease %s: failed (%s): %s", held.lease.id, failure.reason, failure.message)
            self.floor.leases.finished(held.lease.id, outcome)
        if outcome.container_dead:
            self._drop()

    def _died(self, held: Held, why: str, outcome: Outcome | None) -> None:
        """The container could not be started, or is gone: nobody's fault, unless it goes on."""
        self._drop()
        if self.giving_back or held.cancelled:
            self._return(held)
            return
        self.deaths += 1
        pause = backoff(0.5, LONGEST_BACKOFF, self.deaths)
        self.resume_at = time.monotonic() + pause
        self.trouble = f"slot {self.number} starts again in {pause:g} s: {why}"
        log.warning("lease %s: %s", held.lease.id, self.trouble)
        lease = held.lease
        if outcome and self.deaths > DEATHS_FORGIVEN:
            self.floor.leases.finished(lease.id, outcome)
        elif self.floor.checkpoints.saved(lease.job, lease.stage, lease.index):
            self.floor.leases.again(held)
        else:
            self.floor.leases.returned(lease.id)

    def _return(self, held: Held) -> None:
        """Give it back; where it was taken from us it does not run here again."""
        lease = held.lease
        if held.cancelled:
            self.floor.checkpoints.drop(lease.job, lease.stage, lease.index)
        self.floor.leases.returned(lease.id)

    def _refuse(self, held: Held, why: str, for_s: float = math.inf) -> None:
        log.warning("job %s: refused: %s", held.lease.job, why)
        self.floor.jobs.refuse(held.lease.job, why, for_s)
        self.floor.leases.returned(held.lease.id)
        self.floor.leases.return_waiting([held.lease.job])

    def _drop(self) -> None:
        container, self.live, self.planned, self.frozen, self.gone = self.container, False, None, False, False
        self.resting = False
        heir = ""
        if container is not None:
            try:
                container.stop()
            except EngineError as error:
                heir = container.id
                self.floor.leftovers.add(container.id, container.name, str(error))
        self.container = self.job = None
        self.floor.room.leave(self.number, heir)
        if container is not None:
            self.floor.news()
