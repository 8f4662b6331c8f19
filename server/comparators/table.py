"""CSV with a header (or TSV, where the header has tabs and no commas): cells by the rules of their columns."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Literal

from dockercomp.protocol.orders import ColumnRule, VerifySpec

from .malformed import Malformed, quoted
from .tolerance import Tolerance, same_word, tolerance_of

_LONGEST_LINE = 4 * 2**20
"""Characters: of commas alone, each of them a cell in memory."""
_Rule = Tolerance | Literal["text"] | None
"""A cell's: numbers by a tolerance; "text"; None: ignored."""


def difference(spec: VerifySpec, a: bytes, b: bytes) -> str:
    ours, theirs = _rows(a), _rows(b)
    header, other = next(ours, []), next(theirs, [])
    if header != other:
        return f"their headers differ: {quoted(header)} and {quoted(other)}"
    missing = sorted(set(spec.columns) - set(header))
    if missing:
        raise Malformed(f"has no column {missing[0]} (a rule of [verify.columns] names it)")
    general = tolerance_of(spec)
    rules = [_rule(spec.columns.get(name), general) for name in header]
    for line, (row, twin) in enumerate(zip_longest(ours, theirs), 2):
        if row is None or twin is None:
            return f"one has {line - 1} rows, the other more"
        if len(row) != len(twin):
            return f"row {line} has {len(row)} cells in one and {len(twin)} in the other"
        for column, (cell, its) in enumerate(zip(row, twin, strict=True)):
            rule = rules[column] if column < len(rules) else general
            if cell != its and not _same(cell, its, rule):
                name = header[column] if column < len(header) else column + 1
                return f"row {line}, column {name}: {quoted(cell)} and {quoted(its)}"
    return ""


def _rule(column: ColumnRule | None, general: Tolerance) -> _Rule:
    if column is None:
        return general
    if column.compare == "ignore":
        return None
    return tolerance_of(column) if column.compare == "number" else "text"


def _same(a: str, b: str, rule: _Rule) -> bool:
    if isinstance(rule, Tolerance):
        return same_word(a.strip(" "), b.strip(" "), rule)
    return rule is None


def _rows(data: bytes) -> Iterator[list[str]]:
    """Raises Malformed."""
    head = data[: data.find(b"\n") if b"\n" in data else len(data)]
    delimiter = "\t" if b"\t" in head and b"," not in head else ","
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape", newline="")
    try:
        yield from csv.reader(_bounded(text), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise Malformed(f"is no CSV: {error}") from error


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if len(line) > _LONGEST_LINE:
            raise Malformed(f"has a line of over {_LONGEST_LINE >> 20} MiB")
        yield line
