"""A result's bytes as a table: CSV, TSV, `key TAB value`, columns set apart by spaces, or JSON. Pure."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

MOST_BYTES = 8 * 2**20
MOST_ROWS = 100_000
_MOST_CELLS = 1_000_000
_MOST_COLUMNS = 1000
_MOST_JSON = 4 * 2**20
"""JSON takes many times its size in memory."""
_HEADER_LOOKS_AT = 50
"""Rows below the first that tell whether that one is a header."""


class CannotPlot(ValueError):
    """Data that cannot be drawn. The message goes on a sentence whose subject is the data: "has no column x"."""


@dataclass(frozen=True)
class Table:
    columns: list[str]
    """Names; numbers from 1 where the data has no header."""
    rows: list[list[str]]
    """As long as `columns` each."""


def read(data: bytes, *, whole: bool = True) -> Table:
    """The first MOST_ROWS rows. Data that is not `whole` ends with its last whole line. Raises CannotPlot."""
    text = _text(data, whole)
    if not text.strip():
        raise CannotPlot("is empty")
    rows = _json(text, whole) if text.lstrip()[0] in "{[" else _delimited(text)
    return _table(_bounded(row for row in rows if any(row)))


def _bounded(rows: Iterable[list[str]]) -> list[list[str]]:
    kept, cells = [], 0
    for row in islice(rows, MOST_ROWS + 1):
        cells += len(row)
        if cells > _MOST_CELLS:
            break
        kept.append(row)
    return kept


def number(cell: str) -> float | None:
    """The number a cell holds; None for an empty one, a NaN or an infinity. Raises ValueError for anything else."""
    cell = cell.strip()
    if not cell:
        return None
    value = float(cell if "_" not in cell else "not a number in a table")
    if not abs(value) < float("inf"):
        return None
    return value if abs(value) > 1e-300 else 0.0  # what arithmetic still has room below


def is_number(cell: str) -> bool:
    try:
        return number(cell) is not None
    except ValueError:
        return False


def _text(data: bytes, whole: bool) -> str:
    if len(data) > MOST_BYTES:
        data, whole = data[:MOST_BYTES], False
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise CannotPlot(f"is no table but binary data (it begins with the bytes {data[:8].hex(' ')})")
    return text


def _delimited(text: str) -> Iterable[list[str]]:
    lines = text.splitlines()
    first = next(line for line in lines if line.strip())
    if "\t" in first:  # first of all: a key may hold anything else
        return (line.split("\t") for line in lines)
    for delimiter in ",;":
        if delimiter in first:
            return _csv(lines, delimiter)
    return (line.split() for line in lines)


def _csv(lines: list[str], delimiter: str) -> Iterable[list[str]]:
    try:
        yield from csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    except csv.Error as error:
        raise CannotPlot(f"cannot be read as CSV: {error}") from error


def _json(text: str, whole: bool) -> Iterable[list[str]]:
    if len(text) > _MOST_JSON:
        text, whole = text[: text.rfind("\n", 0, _MOST_JSON) + 1] or "{", False  # "{": then it is not JSON lines
    try:
        return _json_rows(_parsed(text))
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        return _json_rows([_parsed(line) for line in islice(text.splitlines(), MOST_ROWS) if line.strip()])
    except (json.JSONDecodeError, RecursionError) as error:
        if not whole:
            raise CannotPlot(f"is JSON of more than {_MOST_JSON >> 20} MiB, which is not read") from error
        raise CannotPlot("begins like JSON but is none, nor JSON lines") from error


def _parsed(text: str) -> Any:
    return json.loads(text, parse_int=float)  # a whole number of very many digits is no reason to fail


def _json_rows(value: Any) -> Iterable[list[str]]:
    """Rows of an object of numbers, of objects or of columns, or of a list of numbers, lists or objects."""
    if isinstance(value, dict) and all(map(_is_scalar, value.values())):
        return [["key", "value"], *([key, _cell(each)] for key, each in value.items())]
    if isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()):
        return _of_objects([{"key": key, **each} for key, each in value.items()])
    if isinstance(value, dict) and all(isinstance(each, list) for each in value.values()):
        columns = [[name, *map(_cell, column)] for name, column in value.items()]
        if len({len(column) for column in columns}) == 1:
            return [list(row) for row in zip(*columns, strict=True)]
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return _of_objects(value)
    if isinstance(value, list) and all(_is_scalar(each) for each in value):
        return [[_cell(each)] for each in value]
    if isinstance(value, list) and all(isinstance(each, list) for each in value):
        return [[_cell(cell) for cell in row] for row in value]
    raise CannotPlot("is JSON, but no object of numbers, of objects or of equally long lists, nor a list of such rows")


def _of_objects(objects: Sequence[dict[str, Any]]) -> Iterable[list[str]]:
    names = list(dict.fromkeys(name for each in objects for name in each))[:_MOST_COLUMNS]
    yield names
    for each in objects:
        yield [_cell(each.get(name)) for name in names]


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(rows: list[list[str]]) -> Table:
    if not rows:
        raise CannotPlot("is empty")
    width = min(max(map(len, rows)), _MOST_COLUMNS)
    header = _is_header(rows)
    if header:
        # Results joined in chunk order often bring the same header with each chunk.
        rows = [rows[0], *(row for row in rows[1:] if row != rows[0])]
    names = [name.strip() for name in rows[0][:width]] if header else []
    names += [str(number) for number in range(len(names) + 1, width + 1)]
    body = rows[1:] if header else rows
    return Table(names, [(row + [""] * width)[:width] for row in body[:MOST_ROWS]])


def _is_header(rows: Sequence[list[str]]) -> bool:
    """Whether the first row names the columns: it holds no number, and a later one does."""
    if any(map(is_number, rows[0])):
        return False
    return any(is_number(cell) for row in rows[1:_HEADER_LOOKS_AT] for cell in row)
