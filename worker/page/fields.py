"""What the page lets its owner edit, and how a form's words become changes of `configuration`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dockercomp.machine import configuration


@dataclass(frozen=True)
class Number:
    """A number with a slider; empty is the default. `unit` is what `configuration` writes after it."""

    key: str
    label: str
    most: float
    step: float
    least: float
    default: str
    """What holds where it is empty, in words."""
    unit: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Choice:
    key: str
    label: str
    options: tuple[tuple[str, str], ...]
    """Values with their words; the first one is what holds without the key, and is written as none."""
    hint: str = ""


@dataclass(frozen=True)
class Text:
    key: str
    label: str
    example: str
    hint: str = ""


Field = Number | Choice | Text


@dataclass(frozen=True)
class Machine:
    """What sliders go up to: cores, bytes of memory and of the disk."""

    cores: int
    memory: int
    disk: int
    tells_temperature: bool = False
    default: Mapping[str, str] = field(default_factory=dict)
    """What holds of a key that is not set, in words."""


_GIB = 2**30


def lent(machine: Machine) -> tuple[Number, ...]:
    """The fields of the ceiling."""

    def otherwise(key: str, words: str) -> str:
        return machine.default.get(key, words)

    memory = max(1.0, round(machine.memory / _GIB, 1))
    return (
        Number("DC_CONTAINERS", "Containers", max(4, 2 * machine.cores), 1, 1, otherwise("DC_CONTAINERS", "automatic")),
        Number("DC_CPUS", "CPUs, all together", machine.cores, 0.05, 0.05, otherwise("DC_CPUS", "automatic")),
        Number("DC_MEMORY", "Memory, all together (GiB)", memory, 0.1, 0.1, otherwise("DC_MEMORY", "automatic"), "GiB"),
        Number("DC_DISK", "Disk (GiB)", max(10.0, machine.disk // _GIB), 1, 0.1, "no limit", "GiB"),
        Number("DC_NETWORK_PER_DAY", "Network in 24 hours (GiB)", 100, 1, 0.2, "no limit", "GiB"),
    )


def when(machine: Machine) -> tuple[Field, ...]:
    """The fields of the rules when it works."""
    heat = "" if machine.tells_temperature else "This machine tells no temperature, so it has no effect here."
    return (
        Text("DC_HOURS", "Hours", "mon-fri 18:00-08:00,sat-sun", "Days, times or both; empty: always."),
        Choice(
            "DC_WHEN_IDLE",
            "While I use the machine",
            (("no", "works on"), ("yes", "pauses for 5 minutes after"), ("15", "pauses for 15 minutes after"),
             ("60", "pauses for an hour after")),
        ),
        Choice("DC_ON_BATTERY", "On battery", (("yes", "works on"), ("no", "pauses"))),
        Number("DC_TEMPERATURE", "Pauses above (°C)", 110, 1, 30, "no limit", hint=heat),
    )  # fmt: skip


def shown(field: Field, values: Mapping[str, str]) -> str:
    """What the field shows of the configuration: a number without its unit, where that is the field's own."""
    value = values.get(field.key, "")
    if isinstance(field, Choice):
        return value or field.options[0][0]
    if isinstance(field, Number) and field.unit:
        return _in_gib(value)
    return value


def changes(form: Mapping[str, str], fields: tuple[Field, ...], values: Mapping[str, str]) -> dict[str, str]:
    """The keys that the form has otherwise than the configuration, as they are to be written."""
    found = {}
    for each in fields:
        if each.key not in form or form[each.key].strip() == shown(each, values):
            continue
        word = form[each.key].strip()
        if isinstance(each, Choice) and word == each.options[0][0]:
            word = ""
        if isinstance(each, Number) and word:
            word = word.replace(",", ".") + each.unit
        found[each.key] = word
    return found


def _in_gib(value: str) -> str:
    try:
        return f"{configuration.size(value) / _GIB:.4g}" if value else ""
    except configuration.ConfigurationError:
        return value
