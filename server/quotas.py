"""What a scientist may have at once: the numbers, and whether something more still fits. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from dockercomp.machine import configuration

KEYS = frozenset({"DC_QUOTA_JOBS", "DC_QUOTA_STORED", "DC_QUOTA_CHUNKS", "DC_QUOTA_IMAGES"})

Thing = Literal["jobs", "stored", "chunks", "images"]


@dataclass(frozen=True)
class Amounts:
    """What somebody has, or may have; a quota of 0 is no bound. A job may have any number of chunks."""

    jobs: int = 0
    """Jobs that run."""
    stored: int = 0
    """Bytes of uploads and results that are kept."""
    chunks: int = 0
    """Chunks that run at one time."""
    images: int = 0


class Quota(Amounts):
    """The most that somebody may have."""


_NAMES = {"jobs": "running jobs", "stored": "stored", "images": "images", "chunks": "chunks at one time"}

_WAYS_OUT = {
    "jobs": "wait for one to end, or cancel one (dockercomp cancel JOB)",
    "stored": "remove ended jobs that you need no more (dockercomp rm JOB); their data goes an hour later",
    "images": "push this one under the name of an old one",
    "chunks": "wait for some to end",
}


def read(values: Mapping[str, str]) -> Quota:
    """DC_QUOTA_*: numbers, and a size for what is stored. Raises ConfigurationError."""

    def number(key: str) -> int:
        return int(configuration.number(values.get(key, "0"), key, 0, 10**12))

    return Quota(
        jobs=number("DC_QUOTA_JOBS"),
        stored=configuration.size(values.get("DC_QUOTA_STORED", "0"), "DC_QUOTA_STORED"),
        chunks=number("DC_QUOTA_CHUNKS"),
        images=number("DC_QUOTA_IMAGES"),
    )


def of_person(default: Quota, own: Mapping[str, int]) -> Quota:
    """The quota of somebody to whom an admin gave `own` numbers of some things."""
    return Quota(**{each.name: own.get(each.name, getattr(default, each.name)) for each in fields(Quota)})


def refusal(thing: Thing, quota: Amounts, use: Amounts, more: int = 1) -> str:
    """Why `more` do not fit, with the numbers and the way out; empty where they do."""
    most, have = getattr(quota, thing), getattr(use, thing)
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
