"""Waiting for what must come: bounded, and never a bare sleep."""

from collections.abc import Callable
from threading import Event


def wait_until(done: Callable[[], bool], seconds: float = 60) -> None:
    """Returns once `done` says so; fails the test after `seconds`."""
    pause = Event()
    for _ in range(int(seconds / 0.02)):
        if done():
            return
        pause.wait(0.02)
    raise AssertionError("waited in vain")
