"""The demo, which is the main job: master, two local workers, a real job over real data, verified and checked."""

from pathlib import Path

from server.settings import Settings


class DemoError(RuntimeError):
    """The demo failed; the message says which part and why."""


def run(settings: Settings, *, once: bool) -> None:
    raise DemoError("x")


def stop_workers(home: Path) -> bool:
    return False
