"""Calls that are submitted one by one, gathered until they make a job worth its while."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .calls import Calls

GATHER_S = 0.03
"""Calls become a job when none was added for so long, or after ten times as long."""
MOST_GATHERED = 50_000


class Gathered:
    """Calls that will be submitted together, and their futures."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.futures: list[Future[Any]] = []
        self._first = self._last = time.monotonic()

    def add(self, future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls.add(fn, args, kwargs)
        self.futures.append(future)
        self._last = time.monotonic()

    @property
    def due(self) -> float:
        return min(self._last + GATHER_S, self._first + 10 * GATHER_S)

    @property
    def ready(self) -> bool:
        return time.monotonic() >= self.due or len(self.futures) >= MOST_GATHERED

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()
