"""A worker that leaves nothing: a DC_HOME of its own for one run, its identity given up at the end, all taken back."""

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from dockercomp.machine.removal import MARKER, Removal

from .settings import Settings

log = logging.getLogger(__name__)

_PREFIX, _ALIVE = "dcw-", "alive"
_LONGEST_PLACE = 40
"""Characters of the folder: the containers' sockets are below it, and a socket's path has at most 107."""
_KEPT = ("DC_TLS_PIN", "DC_DOCKER_HOST", "DC_ROOTLESS")
"""Of the configuration, what taking back needs to reach the master and the engine."""


def run(settings: Settings, work: Callable[[Settings], int], environ: Mapping[str, str] = os.environ) -> int:
    """`work` done with such settings, then everything of it taken back; its exit code, or 1 where something is left.

    What an ephemeral worker of this user left here that was killed is taken back first.
    """
    place = _place(environ)
    for left in _left_behind(place):
        _take_back(left)
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    alive = _hold(home)
    (home / MARKER).write_text("A worker for one run. Remove it with: DC_HOME=this-folder ./cleanup\n")
    kept = dict(zip(_KEPT, (settings.tls_pin, settings.docker_host, "yes" if settings.rootless else ""), strict=True))
    lines = [f"{key}='{value}'\n" for key, value in kept.items() if value]
    (home / "configuration").write_text("".join(lines))
    code = 1
    try:
        code = work(replace(settings, home=home))
    finally:
        whole = _take_back(home)
        alive.close()
    return code if whole or code else 1


def _place(environ: Mapping[str, str]) -> Path:
    """Where batch systems want files of a job, unless its path is too long for sockets below it."""
    place = Path(environ.get("TMPDIR") or "/tmp")  # noqa: S108  (a fresh folder, readable by its owner alone)
    return place if place.is_dir() and len(str(place)) <= _LONGEST_PLACE else Path("/tmp")  # noqa: S108


def _left_behind(place: Path) -> list[Path]:
    """Folders of such workers of ours that do not run any more."""
    mine = [home for home in place.glob(f"{_PREFIX}*") if home.is_dir() and home.stat().st_uid == os.geteuid()]
    return [home for home in mine if (home / MARKER).is_file() and not _is_held(home)]


def _hold(home: Path) -> IO[str]:
    """Held while this process lives, and before the folder is marked: several may start here at once."""
    file = (home / _ALIVE).open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is_held(home: Path) -> bool:
    try:
        with (home / _ALIVE).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _take_back(home: Path) -> bool:
    """Says goodbye to the master and removes containers, images and files; False where something could not be."""
    removal = Removal(home, lambda line: log.info("%s", line))
    removal.run()
    for problem in removal.problems:
        log.error("%s is not removed whole: %s", home, problem)
    return not removal.problems
