"""Containers whose removal failed: they are remembered, told of, and tried again until they are gone."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .engine import EngineError
from .patience import backoff

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a removal is tried again: doubling from the first to the longest."""


@dataclass
class _Left:
    name: str
    why: str
    tries: int
    due: float


class Leftovers:
    """Safe for many threads; `again` is for one alone."""

    def __init__(self, remove: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`remove` removes a container by its id, or raises EngineError."""
        self.gone: Callable[[str], None] = lambda _: None
        """Hears of each that was removed after all."""
        self._remove, self._clock = remove, clock
        self._lock = threading.Lock()
        self._left: dict[str, _Left] = {}

    def add(self, container: str, name: str, why: str) -> None:
        """This container could not be removed, for the reason that the engine gave."""
        log.warning("the container %s could not be removed and is tried again: %s", name, why)
        with self._lock:
            self._left[container] = _Left(name, why, 1, self._clock() + FIRST_PAUSE)

    def again(self) -> None:
        """Try those whose time it is."""
        with self._lock:
            due = [container for container, left in self._left.items() if left.due <= self._clock()]
        for container in due:
            try:
                self._remove(container)
            except EngineError as error:
                with self._lock:
                    left = self._left[container]
                    left.tries, left.why = left.tries + 1, str(error)
                    left.due = self._clock() + backoff(FIRST_PAUSE, LONGEST_PAUSE, left.tries)
            else:
                with self._lock:
                    left = self._left.pop(container)
                log.info("the container %s is removed after all", left.name)
                self.gone(container)

    def sentences(self) -> list[str]:
        """What is left, for the volunteer and the admin."""
        with self._lock:
            return [
                f"The container {left.name} could not be removed ({left.tries} times so far, it is tried again):"
                f" {left.why}. By hand: docker rm -f {container[:12]}"
                for container, left in self._left.items()
            ]
