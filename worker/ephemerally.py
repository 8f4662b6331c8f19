"""A worker that leaves nothing: a DC_HOME of its own for one run, its identity given up at the end, all taken back."""

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from dockercomp.machine.removal import MARKER, NotOursError, Removal

from .settings import Settings

log = logging.getLogger(__name__)

_PREFIX = "dcw-"
_MARK = "A worker for one run. Remove it with: DC_HOME=this-folder ./cleanup\n"
"""In such a folder's marker, and in no other's, so that no other folder is ever taken back by mistake."""
_LONGEST_PLACE = 40
"""Characters of the folder: the containers' sockets are below it, and a socket's path has at most 107."""
_KEPT = ("DC_TLS_PIN", "DC_DOCKER_HOST", "DC_ROOTLESS")
"""Of the configuration, what taking back needs to reach the master and the engine."""


def run(settings: Settings, work: Callable[[Settings], int], environ: Mapping[str, str] = os.environ) -> int:
    """`work` done with such settings, then everything of it taken back; its exit code, or 1 where something is left.

    What an ephemeral worker of this user left here that was killed is taken back first.
    """
    place = _place(environ)
    _clear(place)
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    alive = _mark(home)
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


def _clear(place: Path) -> None:
    """Take back what such workers of ours left here that do not run any more. Several may do so at once."""
    for home in sorted(place.glob(f"{_PREFIX}*")):
        left = _left_behind(home)
        if left is not None:
            with left, suppress(NotOursError):
                _take_back(home)


def _mark(home: Path) -> IO[str]:
    """The marker, which is held while this process lives, from before it can be seen: several may start here at once.

    It is the last file to go, so that what is being taken back is held to its end, too.
    """
    fresh = home / f"{MARKER}.new"
    file = fresh.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(_MARK)
    file.flush()
    fresh.replace(home / MARKER)
    return file


def _left_behind(home: Path) -> IO[str] | None:
    """The marker, held, if the folder is one of ours that nobody holds; else None."""
    try:
        found = home.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return None
        file = os.fdopen(os.open(home / MARKER, os.O_RDWR | os.O_NOFOLLOW), "r+")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if file.read() == _MARK:
            return file
    except (OSError, UnicodeDecodeError):
        pass
    file.close()
    return None


def _take_back(home: Path) -> bool:
    """Says goodbye to the master and removes containers, images and files; False where something could not be."""
    removal = Removal(home, lambda line: log.info("%s", line))
    removal.run()
    for problem in removal.problems:
        log.error("%s is not removed whole: %s", home, problem)
    return not removal.problems
