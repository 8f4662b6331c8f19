"""What a scientist may have at once: the numbers, and whether something more still fits. Pure."""

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from dockercomp.machine import configuration
from dockercomp.protocol.quotas import Amounts

KEYS = frozenset({"DC_QUOTA_JOBS", "DC_QUOTA_STORED", "DC_QUOTA_CHUNKS", "DC_QUOTA_IMAGES"})

Thing = Literal["jobs", "stored", "chunks", "images"]


_NAMES = {"jobs": "running jobs", "stored": "stored", "images": "images", "chunks": "chunks at one time"}

_WAYS_OUT = {
    "jobs": "wait for one to end, or cancel one (dockercomp cancel JOB)",
    "stored": "remove ended jobs that you need no more (dockercomp rm JOB); their data goes an hour later",
    "images": "push this one under the name of an old one",
    "chunks": "wait for some to end",
}


def read(values: Mapping[str, str]) -> Amounts:
    """DC_QUOTA_*: numbers, and a size for what is stored. Raises ConfigurationError."""

    def number(key: str) -> int:
        return int(configuration.number(values.get(key, "0"), key, 0, 10**12))

    return Amounts(
        jobs=number("DC_QUOTA_JOBS"),
        stored=configuration.size(values.get("DC_QUOTA_STORED", "0"), "DC_QUOTA_STORED"),
        chunks=number("DC_QUOTA_CHUNKS"),
        images=number("DC_QUOTA_IMAGES"),
    )


def of_person(default: Amounts, own: Mapping[str, int]) -> Amounts:
    """The quota of somebody to whom an admin gave `own` numbers of some things."""
    return replace(default, **own)


def refusal(thing: Thing, most: int, have: int, more: int = 1) -> str:
    """Why `more` do not fit, with the numbers and the way out; empty where they do."""
    if not most or have + more <= most:
        return ""
    shown = _bytes if thing == "stored" else str
    return (
        f"your quota is {shown(most)} {_NAMES[thing]}; you have {shown(have)}, and this takes {shown(more)} more:"
        f" {_WAYS_OUT[thing]}, or ask an admin for more (dockercomp quota NAME --{thing} …)"
    )


def _bytes(size: int) -> str:
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
