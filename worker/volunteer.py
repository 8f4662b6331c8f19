"""The volunteer's side while the daemon runs: edits of `configuration`, and pausing by DC_HOME/worker/control.json."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import write_private

from . import settings
from .limits import Wishes

_LATEST = 4e11
"""The end of the points in time that can be written as a date, some thousand years away."""
_UNREAD = (-1, -1, -1)
"""The stamp of no file: `wishes` were read some time before, so that the first look reads again."""


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the volunteer asks of a running daemon. `until` is seconds since the epoch; None: until resumed."""

    paused: bool = False
    until: Annotated[float, msgspec.Meta(le=_LATEST)] | None = None
    unread: str = ""
    """Why it is not known what is asked, as of a file that another user has written: then nothing is computed."""

    def pauses(self, now: float) -> bool:
        return self.paused and (self.until is None or now < self.until)


def _path(home: Path) -> Path:
    return home / "worker" / "control.json"


def read_control(home: Path) -> Control:
    try:
        return msgspec.json.decode(_path(home).read_bytes(), type=Control)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.DecodeError):
        return Control()
    except OSError as error:
        return Control(paused=True, unread=f"{_path(home)} cannot be read: {error.strerror}")


def write_control(home: Path, control: Control) -> None:
    write_private(_path(home), msgspec.json.encode(control))


@dataclass(frozen=True)
class View:
    """What the volunteer wants now; `problem` says why an edit of the configuration is not used."""

    wishes: Wishes
    control: Control
    problem: str = ""

    @property
    def paused(self) -> bool:
        return self.control.pauses(time.time())

    @property
    def why_paused(self) -> str:
        if self.control.unread:
            return f"Paused, as {self.control.unread}; `dockercomp-worker resume`, as the worker's own user, goes on."
        until = self.control.until
        at = "" if until is None else f" until {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}"
        return f"Paused by the volunteer{at}; `dockercomp-worker resume` goes on."


class Volunteer:
    """Looks at both files when they change. A malformed edit keeps the old values."""

    def __init__(
        self, home: Path, source: Path | None, wishes: Wishes, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._home, self._source, self._environ = home, source, environ
        self._stamp: tuple[int, int, int] | None = _UNREAD if source else None
        self._wishes, self._problem = wishes, ""

    def look(self) -> View:
        stamp = _stamp(self._source)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._wishes, self._problem = settings.reread_wishes(self._source, self._environ), ""
            except (ConfigurationError, OSError) as error:
                self._problem = f"The configuration was edited, but is not used: {error}"
        return View(self._wishes, read_control(self._home), self._problem)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
