"""A duty that may take long runs beside the others, in a thread of its own, one run at a time."""

import threading
from collections.abc import Callable

import structlog

from dockercomp.protocol.errors import Unavailable

_log = structlog.get_logger("beside")


class Beside:
    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None

    def start(self, act: Callable[..., object], *arguments: object) -> None:
        """Run `act`, unless the run before is not done yet. What it raises is logged."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(act, *arguments), name=self._name, daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether the present run is done within that time."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _run(self, act: Callable[..., object], *arguments: object) -> None:
        try:
            act(*arguments)
        except Unavailable as error:
            _log.warning("the store cannot be reached", duty=self._name, error=str(error))
        except Exception:
            _log.exception("a duty failed", duty=self._name)
