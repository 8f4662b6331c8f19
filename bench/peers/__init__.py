"""Other systems that do what we do, each a file; they run in an environment of their own.

A peer is a context manager that is ready to work once entered (its processes run and have imported what they need) and
measures itself: `job` gives the seconds from nothing to the result on disk, `dispatch` tasks a second.
"""

from pathlib import Path
from typing import Protocol, Self

MODULES = {
    "pool": "pool",
    "dask": "on_dask",
    "ray": "on_ray",
    "celery": "on_celery",
    "parallel": "gnu_parallel",
    "docker-run": "docker_run",
}
"""The file of each peer, in the order in which they are measured."""
PACKAGES = frozenset({"dask", "ray", "celery"})
"""Those that need what stands in peers.txt."""
PROCESSES = 2
"""Processes that compute at once, as many as we have containers."""


def chosen(peers: str) -> list[str]:
    """The peers that `--peers` names. Raises ValueError for one that there is not."""
    if peers in ("none", "all"):
        return list(MODULES) if peers == "all" else []
    names = [name.strip() for name in peers.split(",")]
    for name in names:
        if name not in MODULES:
            raise ValueError(f"there is no peer {name!r}: none, all, or some of {','.join(MODULES)}")
    return names


class Missing(RuntimeError):
    """A peer that cannot be measured here; says why."""


class Peer(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def job(self, text: Path, chunk: int, output: Path) -> float:
        """Count the words of `text` in chunks of `chunk` bytes; the seconds it took until `output` was written."""

    def dispatch(self, seconds: float) -> float:
        """Tasks a second that do nothing and whose results all came back, over about so many seconds."""
