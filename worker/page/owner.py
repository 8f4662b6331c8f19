"""What the page reads and changes for its owner: the status file, `configuration`, and the pause. No HTTP, no HTML."""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError

from .. import defaults, edits, settings, status, temperature
from ..durations import BadDuration, parse_duration
from ..running import running_pid
from ..volunteer import Control, read_control, write_control
from .document import View
from .fields import Machine, changes, lent, when


class Refused(ValueError):
    """A form that is not taken; the message is for its owner."""


class Owner:
    """Safe for many threads: each answer is read anew from the files."""

    def __init__(self, home: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._home, self._environ = home, environ

    def view(self, said: str = "", refused: str = "", typed: Mapping[str, str] | None = None) -> View:
        now, source = time.time(), self._source()
        try:
            values = configuration.read(source, {})
        except (ConfigurationError, OSError) as error:
            values, refused = {}, refused or str(error)
        return View(
            status=self._status(),
            paused=read_control(self._home).pauses(now),
            values=values,
            source=str(source),
            machine=self._machine(),
            now=now,
            said=said,
            refused=refused,
            typed=typed,
        )

    def pause(self, duration: str) -> str:
        """Raises Refused."""
        try:
            until = time.time() + parse_duration(duration) if duration else None
        except BadDuration as error:
            raise Refused(str(error)) from error
        write_control(self._home, Control(paused=True, until=until))
        at = "" if until is None else f" until {time.strftime('%H:%M', time.localtime(until))}"
        return f"Paused{at}; the containers freeze within a second."

    def resume(self) -> str:
        write_control(self._home, Control())
        return "Going on."

    def configure(self, form: Mapping[str, str]) -> str:
        """Save what the form has otherwise. Raises Refused, and then nothing is changed."""
        source, machine = self._source(), self._machine()
        try:
            values = configuration.read(source, {})
            wanted = changes(form, (*lent(machine), *when(machine)), values)
            if not wanted:
                return "Nothing was changed."
            edits.change(source, wanted, self._environ)
        except (ConfigurationError, OSError) as error:
            raise Refused(str(error)) from error
        over = edits.overruled(wanted, self._environ)
        won = f" But variables of the environment win over: {', '.join(over)}." if over else ""
        return f"Saved: {', '.join(wanted)}.{won}"

    def _source(self) -> Path:
        return settings.find_configuration(self._environ) or self._home / "configuration"

    def _status(self) -> status.Status:
        found = status.read(self._home)
        if found is None:
            return status.Status(state="stopped", sentence="It has not run here yet: dockercomp-worker run starts it.")
        if running_pid(self._home) is None and found.state != "stopped":
            sentence = "It is gone without a word; `dockercomp-worker log` may tell why."
            found = msgspec.structs.replace(found, state="stopped", sentence=sentence, containers=[], pid=0)
        return found

    def _machine(self) -> Machine:
        cores, memory = os.cpu_count() or 1, psutil.virtual_memory().total
        place = next(parent for parent in (self._home, *self._home.parents) if parent.exists())
        cpus, lends = defaults.cpus(cores), defaults.memory(memory)
        words = {
            "DC_CONTAINERS": f"{defaults.containers(cpus, lends)} by default",
            "DC_CPUS": f"{cpus:g} by default",
            "DC_MEMORY": f"{lends / defaults.GIB:.1f} by default",
        }
        return Machine(
            cores=cores,
            memory=memory,
            disk=shutil.disk_usage(place).total,
            tells_temperature=temperature.celsius() is not None,
            default=words,
        )
