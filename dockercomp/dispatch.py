"""Futures of calls that run as a job: resolved chunk by chunk as results are accepted."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

from .accepted import Accepted
from .job import PATIENCE_S, Job, JobFailed
from .master import Master
from .outcomes import Outcome, outcomes
from .protocol.errors import Busy, DockercompError, Unavailable

log = logging.getLogger(__name__)

SHORTEST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
LEISURE = 3
"""Between two looks passes so many times what the first took: looking shall not slow the job down."""


class Waiting:
    """What waits for the outcomes of one chunk: the futures of its calls, or one future of all of them."""

    def __init__(self, futures: Sequence[Future[Any]], together: int = 0) -> None:
        """`together`: there is one future of so many calls; its result is the list of their outcomes."""
        self._futures: list[Future[Any] | None] = list(futures)
        self._together = together
        self._begun = False

    @property
    def done(self) -> bool:
        """Nobody waits any more: all came, or were cancelled."""
        return all(future is None or future.done() for future in self._futures)

    def begin(self) -> None:
        """From now on they cannot be cancelled."""
        if not self._begun:
            self._begun = True
            for number, future in enumerate(self._futures):
                if future is not None and not future.set_running_or_notify_cancel():
                    self._futures[number] = None

    def cancel(self) -> None:
        for future in self._futures:
            if future is not None:
                future.cancel()

    def notice_cancelled(self) -> None:
        """Tell those who wait for futures that were cancelled."""
        if not self._begun:
            for number, future in enumerate(self._futures):
                if future is not None and future.cancelled() and not future.set_running_or_notify_cancel():
                    self._futures[number] = None

    def resolve(self, result: bytes) -> None:
        self.begin()
        found = outcomes(result, self._together or len(self._futures))
        for future, outcome in zip(self._futures, [Outcome(found)] if self._together else found, strict=True):
            if future is None:
                continue
            if outcome.error is not None:
                future.set_exception(outcome.error)
            else:
                future.set_result(outcome.value)

    def fail(self, error: BaseException) -> None:
        self.begin()
        for future in self._futures:
            if future is not None and not future.done():
                future.set_exception(error)


class Running:
    """A job and what waits for its chunks."""

    def __init__(self, master: Master, job: Job, waiting: list[Waiting]) -> None:
        self.due = time.monotonic()
        """When to look again, as time.monotonic."""
        self.unwanted = False
        """Nobody will ask for results any more: to be abandoned."""
        self._accepted = Accepted(master, job)
        self._job = job
        self._waiting = dict(enumerate(waiting))
        self._pause = SHORTEST_PAUSE_S
        self._answered = time.monotonic()
        self._told = ""

    def look(self) -> bool:
        """Resolve what was accepted meanwhile; returns whether there is nothing left to wait for."""
        begun = time.monotonic()
        try:
            moved, ended = self._look()
        except (Unavailable, Busy) as error:
            if time.monotonic() - self._answered > PATIENCE_S:
                return self._give_up(error)
            moved, ended = False, False
        except Exception as error:  # whatever it is, nobody may wait for ever
            return self._give_up(error)
        else:
            self._answered = time.monotonic()
        self._pause = SHORTEST_PAUSE_S if moved else min(LONGEST_PAUSE_S, self._pause * 1.3)
        now = time.monotonic()
        self.due = now + max(self._pause, LEISURE * (now - begun))
        return ended

    def cancel(self) -> None:
        """Cancel whatever was not handed out yet."""
        for each in list(self._waiting.values()):
            each.cancel()

    def abandon(self) -> None:
        """Stop the job; whoever waits gets CancelledError."""
        with suppress(DockercompError):
            self._job.cancel()
        self._give_up(CancelledError(f"job {self._job.id} was abandoned"))

    def _look(self) -> tuple[bool, bool]:
        """Whether anything came, and whether it was the last."""
        view, arrived = self._accepted.look()
        if view.waiting and view.waiting != self._told:
            log.warning("job %s waits: %s", view.id, view.waiting)
        self._told = view.waiting
        moved = False
        for index, result in arrived:
            moved = True
            if index in self._waiting:
                self._waiting.pop(index).resolve(result)
        for index in self._accepted.issued & self._waiting.keys():
            self._waiting[index].begin()
        for each in self._waiting.values():
            each.notice_cancelled()
        if view.state != "running":
            self._give_up(JobFailed(view))
            return True, True
        if all(each.done for each in self._waiting.values()):
            self._job.cancel()
            return True, True
        return moved, False

    def _give_up(self, error: BaseException) -> bool:
        for each in self._waiting.values():
            each.fail(error)
        self._waiting.clear()
        return True
