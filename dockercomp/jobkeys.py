"""Every table and key of a job file: the one place that says which there are and how their values are written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args, get_type_hints

from .notation import (
    Reader,
    choice,
    column,
    columns,
    command,
    duration,
    flag,
    integer,
    number,
    share,
    size,
    some,
    text,
    texts,
    values,
    variable,
)
from .protocol.orders import BYTE_SPLITS, CAPABILITIES, DEVICES, NUMBER_SPLITS, ColumnRule, PlotSpec, Split, VerifySpec


@dataclass(frozen=True)
class Table:
    """`[name]`: these keys and no others."""

    keys: Mapping[str, "Node"]
    needed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Named:
    """`[name]` whose keys the scientist chooses."""

    each: "Node"


@dataclass(frozen=True)
class Rows:
    """`[[name]]`, as often as wanted."""

    row: Table


Node = Reader | Table | Named | Rows


def _one_of(struct: type, key: str) -> Reader:
    return choice(*get_args(get_type_hints(struct)[key]))


_TOLERANCE: dict[str, Node] = {"rtol": number, "atol": number, "ulp": integer}
_PROGRAM: dict[str, Node] = {"command": command, "function": text}
_INPUT = Table(
    {
        "split": choice(*get_args(Split)),
        "chunk_size": size,
        "record_size": size,
        "files_per_chunk": integer,
        "start": integer,
        "stop": integer,
        "per_chunk": integer,
        "parameters": Named(values),
        "include": texts,
        "unpack": flag,
        "fetch": choice("master", "workers"),
    },
    ("split",),
)
_PLOT = Table(
    {
        "kind": _one_of(PlotSpec, "kind"),
        **dict.fromkeys(("title", "file", "x_label", "y_label"), text),
        "x": column,
        "y": columns,
        "sort": _one_of(PlotSpec, "sort"),
        "top": integer,
        "bins": integer,
    },
    ("kind",),
)
JOB = Table(
    {
        "name": text,
        "image": text,
        "retries": integer,
        "setup": command,
        "priority": integer,
        "reuse": flag,
        "notify": texts,
        "input": _INPUT,
        "map": Table({**_PROGRAM, "outputs": texts, "question": text, "choices": texts}),
        "combine": Table(_PROGRAM),
        "reduce": Table({**_PROGRAM, "outputs": texts, "partitions": integer, "fan_in": integer, "sort": flag}),
        "verify": Table(
            {
                "policy": _one_of(VerifySpec, "policy"),
                "quorum": integer,
                "floor": share,
                "target_error": share,
                "independent": _one_of(VerifySpec, "independent"),
                "same_cpu": flag,
                "compare": _one_of(VerifySpec, "compare"),
                **_TOLERANCE,
                "pixel": integer,
                "columns": Named(Table({"compare": _one_of(ColumnRule, "compare"), **_TOLERANCE})),
            }
        ),
        "resources": Table(
            {
                "cpus": number,
                "least_cpus": number,
                "sweep": flag,
                "memory": size,
                "disk": size,
                "time_limit": duration,
            }
        ),
        "wants": Table(
            {
                "network": flag,
                "writable_root": flag,
                "capabilities": some(*sorted(CAPABILITIES)),
                "devices": some(*sorted(DEVICES)),
                "reason": text,
            }
        ),
        "environment": Named(variable),
        "plots": Rows(_PLOT),
    },
    ("name", "input", "map"),
)

LATER = {
    "resources.gpus": "jobs that need a GPU cannot be run yet; leave it out",
    "deadline": "there are no deadlines yet; leave it out",
}

_READING = tuple(name for name in get_args(Split) if name not in NUMBER_SPLITS)
SPLITS_OF: dict[str, tuple[str, ...]] = {
    "chunk_size": tuple(name for name in _READING if name in BYTE_SPLITS),
    "record_size": ("records",),
    "files_per_chunk": ("files",),
    "start": ("range",),
    "stop": ("range",),
    "per_chunk": ("range", "product"),
    "parameters": ("product",),
    "include": _READING,
    "unpack": _READING,
    "fetch": _READING,
}
"""Keys of [input] that belong to some splits only."""
NEEDED_BY = {"range": "stop", "records": "record_size", "product": "parameters"}
"""The key of [input] that a split cannot do without."""


def homes(key: str) -> list[str]:
    """Where keys of that name belong: `into [reduce]`."""
    return [table for table, found in _tables("", JOB) if key in found.keys]


def _tables(path: str, node: Node, *, rows: bool = False) -> Iterator[tuple[str, Table]]:
    if isinstance(node, Table):
        where = f"into [[{path}]]" if rows else f"into [{path}]"
        yield where if path else "to the top, before the first [table]", node
        for key, inner in node.keys.items():
            yield from _tables(f"{path}.{key}" if path else key, inner)
    elif isinstance(node, Named):
        yield from _tables(f"{path}.NAME", node.each)
    elif isinstance(node, Rows):
        yield from _tables(path, node.row, rows=True)
