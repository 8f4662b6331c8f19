"""The form of what a client is given, and what it shares with a group's. Sizes are typed in MiB and GiB."""

import re
from collections.abc import Mapping
from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, FloatField, HiddenField, IntegerField, SelectChoice, SelectField, StringField
from wtforms.validators import InputRequired, NumberRange, Optional

from dockercomp.protocol.messages import Allocation, Ceiling, Policy, Priority, Shrink
from dockercomp.protocol.views import AllocationChange, GroupChange
from server.allocations import allocation_violations
from server.dashboard.wording import GIB, MIB, cpus, size

PRIORITIES: dict[Priority, str] = {"low": "low", "normal": "normal", "high": "high"}
POLICIES: dict[Policy, str] = {
    "fixed": "fixed: each container has its own, used or not",
    "equal": "equal: shared evenly by those that compute",
    "curve": "by curve: more to the programs that gain by it",
    "overcommit": "overcommit: each may use all of it",
}
SHRINKS: dict[Shrink, str] = {
    "drain": "end first (drain)",
    "requeue": "go to other clients at once (requeue)",
}


def _choices(words: Mapping[Any, str]) -> list[SelectChoice]:
    return [SelectChoice(value, label) for value, label in words.items()]


_NOT_A_SIZE = "Enter a number of GiB, 0 for no limit but the volunteer's."


class MannerForm(FlaskForm):  # type: ignore[misc]
    """What a client's and a group's form have in common."""

    disk = FloatField("Disk for everything of ours", [Optional(), NumberRange(0, 2**23, _NOT_A_SIZE)], default=0)
    jobs = StringField("Only these jobs")
    priority = SelectField("Priority of its containers", choices=_choices(PRIORITIES), default="normal")
    policy = SelectField("How its CPUs are divided", choices=_choices(POLICIES), default="fixed")
    shrink = SelectField("Chunks of containers that go", choices=_choices(SHRINKS), default="drain")
    force = BooleanField("Lower memory at once, even below what a container uses")
    paused = BooleanField("Paused")
    version = HiddenField()

    def manner(self, now: Allocation | GroupChange | None) -> dict[str, Any]:
        """The common fields as they shall be. Disk that was not touched stays as it is to the byte."""
        typed = self.disk.data or 0.0
        kept = now is not None and typed == _gib(now.disk)
        return {
            "disk": now.disk if now is not None and kept else round(typed * GIB),
            "jobs": patterns(self.jobs.data),
            "priority": self.priority.data,
            "policy": self.policy.data,
            "shrink": self.shrink.data,
            "force": self.force.data,
            "paused": self.paused.data,
        }

    @property
    def told_version(self) -> int:
        """The version that the person saw; 0 where the form tells none that makes sense."""
        told = self.version.data or ""
        return int(told) if told.isascii() and told.isdigit() and len(told) < 18 else 0

    def refuse(self, field: str, reason: str) -> None:
        """Say by that field, or where there is none on the form's first one, why it is not possible."""
        found = self[field] if field in self else next(iter(self))
        found.errors = [*found.errors, f"{reason[0].upper()}{reason[1:].rstrip('.')}."]


class AllocationForm(MannerForm):
    containers = IntegerField("Containers", [InputRequired("Enter a whole number.")])
    cpus = FloatField("CPUs per container", [InputRequired("Enter a number, such as 1.5.")])
    memory = IntegerField("Memory per container", [InputRequired("Enter a whole number of MiB.")])

    @classmethod
    def of(cls, allocation: Allocation) -> "AllocationForm":
        """The form as it stands before anything is typed."""
        return cls(formdata=None, **values_of(allocation))

    def change(self, now: Allocation, ceiling: Ceiling) -> AllocationChange | None:
        """What is asked for, if it is possible; else None, and the fields say why not."""
        if not self.validate_on_submit():
            return None
        # Memory that was not touched stays as it is to the byte, though the form shows whole MiB.
        memory = now.memory if self.memory.data == now.memory // MIB else self.memory.data * MIB
        change = AllocationChange(
            containers=self.containers.data, cpus=self.cpus.data, memory=memory, **self.manner(now)
        )
        for field, reason in allocation_violations(change, ceiling):
            self.refuse(field, reason)
        return None if self.errors else change


def values_of(given: Allocation) -> dict[str, Any]:
    """All fields of a client's form as it shows them."""
    return {
        "containers": given.containers,
        "cpus": plain(given.cpus),
        "memory": given.memory // MIB,
        "version": str(given.version),
        **manner_of(given),
    }


def manner_of(given: Allocation | GroupChange) -> dict[str, Any]:
    """The common fields as the form shows them."""
    return {
        "disk": _gib(given.disk),
        "jobs": ", ".join(given.jobs),
        "priority": given.priority,
        "policy": given.policy,
        "shrink": given.shrink,
        "force": given.force,
        "paused": given.paused,
    }


def words(typed: str | None) -> list[str]:
    """What was typed with commas or spaces between, each once, in the order typed."""
    return list(dict.fromkeys(word for word in re.split(r"[,\s]+", typed or "") if word))


def patterns(typed: str | None) -> list[str]:
    """What was typed with commas between, likewise: names of jobs may have spaces in them."""
    return list(dict.fromkeys(word for part in (typed or "").split(",") if (word := part.strip())))


def described(given: Allocation | AllocationChange) -> str:
    """An allocation in one line: `2 containers, 1.5 CPUs and 512 MiB each; paused`."""
    if given.containers < 1:
        return "no containers" + "; paused" * given.paused
    plural, each = ("s", " each") if given.containers > 1 else ("", "")
    return (
        f"{given.containers} container{plural}, {cpus(given.cpus)} CPUs and {size(given.memory)}{each}"
        + "; paused" * given.paused
    )


def plain(count: float | None) -> float | None:
    """A number as a field shows it: `2`, not `2.0`."""
    return int(count) if count is not None and count == int(count) else count


def _gib(count: int) -> float | None:
    return plain(round(count / GIB, 2))
