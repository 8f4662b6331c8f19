"""What an admin gives clients and groups, read from the command line's options: what is not named stays as it is."""

import math
from collections.abc import Callable, Sequence
from typing import Any, get_args

import click
from msgspec.structs import replace

from .machine import configuration
from .protocol.errors import BadRequest
from .protocol.messages import Allocation, Policy, Priority, Shrink
from .protocol.views import AllocationChange, GroupChange, GroupRule

LEAST_CPUS = 0.05
_DEFAULTS = {"containers": "fit", "cpus": "share", "memory": "share"}
"""The words of groups for what follows from the rest."""

_OPTIONS = (
    click.option("--containers", metavar="N", help="How many containers."),
    click.option("--cpus", metavar="N", help=f"CPUs of each container, at least {LEAST_CPUS}."),
    click.option("--memory", metavar="SIZE", help="Memory of each container, such as 512MiB."),
    click.option("--disk", metavar="SIZE", help="Disk for everything of ours there; 0: as the volunteer allows."),
    click.option("--jobs", metavar="PATTERN", multiple=True, help="Only jobs whose id or name fits (again for more)."),
    click.option("--priority", type=click.Choice(get_args(Priority)), help="Of its containers where CPU is short."),
    click.option("--policy", type=click.Choice(get_args(Policy)), help="How its CPU is divided among its containers."),
    click.option("--shrink", type=click.Choice(get_args(Shrink)), help="What becomes of chunks in containers that go."),
    click.option("--force/--no-force", default=None, help="Lower memory at once, even below what is in use."),
    click.option("--pause/--resume", "paused", default=None, help="Freeze its containers, and let them go on."),
)
"""What can be given to a client, and by a group. `--jobs '*'` allows all jobs again."""


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that gets what is to be given as `told`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def change_of(now: Allocation, told: dict[str, Any]) -> AllocationChange:
    """The allocation as it shall be: what was told, and the rest as it is. Raises BadRequest."""
    kept = AllocationChange(**{name: getattr(now, name) for name in AllocationChange.__struct_fields__})
    return replace(kept, **_read(told, words=False))


def group_of(now: GroupChange, told: dict[str, Any]) -> GroupChange:
    """A group as it shall be, likewise. Raises BadRequest."""
    rule_told = {name: value for name in GroupRule.__struct_fields__ if _given(value := told.pop(f"of_{name}", None))}
    for name, read in (("least_cpus", _number), ("least_memory", _size)):
        if name in rule_told:
            rule_told[name] = read(f"--{name.replace('_', '-')}", rule_told[name])
    if "tags" in rule_told:
        rule_told["tags"] = [tag for tag in rule_told["tags"] if tag]
    own = {name: told.pop(name) for name in ("order", "share") if told.get(name) is not None}
    return replace(now, rule=replace(now.rule, **rule_told), **own, **_read(told, words=True))


def _given(value: object) -> bool:
    return value is not None and value != ()


def _read(told: dict[str, Any], *, words: bool) -> dict[str, Any]:
    """The fields that were told; with `words` also those of groups, for what follows from the rest."""
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[str, Any], Any]] = {
        "containers": _whole,
        "cpus": _number,
        "memory": _size,
        "disk": _size,
        "jobs": _patterns,
    }
    for name, value in told.items():
        if not _given(value):
            continue
        if words and value == _DEFAULTS.get(name):
            found[name] = None
        else:
            found[name] = readers[name](f"--{name}", value) if name in readers else value
    return found


def _whole(option: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise BadRequest(f"{option} {value}: must be a whole number, 0 or more")
    return int(value)


def _number(option: str, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not 0 <= found < 1e9:
        raise BadRequest(f"{option} {value}: must be a number of CPUs from {LEAST_CPUS}, such as 1.5")
    return found


def _size(option: str, value: str) -> int:
    if value == "0":
        return 0
    try:
        return configuration.size(value, option)
    except (configuration.ConfigurationError, OverflowError) as error:
        raise BadRequest(str(error)) from error


def _patterns(_: str, values: Sequence[str]) -> list[str]:
    return [] if "*" in values else list(values)
