"""What is plotted of a table: the columns, order and number of points that a plot declares. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dockercomp.protocol.orders import PlotSpec

from .reading import CannotPlot, Table, is_number, number

MOST_SERIES = 12


@dataclass(frozen=True)
class Series:
    name: str
    values: list[float | None]
    """None leaves a gap."""


@dataclass(frozen=True)
class Points:
    x_name: str
    x: list[str]
    series: list[Series]
    """As many values each as there are x."""

    def csv(self) -> str:
        """The points as CSV, with a header."""
        rows = zip(self.x, *(series.values for series in self.series), strict=True)
        return as_csv([self.x_name, *(series.name for series in self.series)], rows)

    def summary(self, kind: str) -> str:
        names = ", ".join(series.name for series in self.series)
        first = f"the first is {self.x[0]}, " if len(self.x) > 1 else ""
        return f"A {kind} chart of {names} by {self.x_name}: {len(self.x)} points, {first}the last is {self.x[-1]}."


def as_csv(header: Sequence[str] | None, rows: Iterable[Sequence[object]]) -> str:
    """CSV, with a header or without; numbers are written so that reading them gives them back, gaps as nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header is not None:
        writer.writerow(header)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return out.getvalue()


def _plain(cell: object) -> object:
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15 else cell


def choose(spec: PlotSpec, table: Table) -> Points:
    """The points of a bar or line plot. Raises CannotPlot where a column is missing or holds no numbers."""
    one = len(table.columns) == 1 and not spec.x
    x = None if one else _column(table, spec.x or "1")
    ys = [_column(table, name) for name in spec.y] or [0 if one else 1]
    if len(ys) > MOST_SERIES:
        raise CannotPlot(f"would give {len(ys)} series; at most {MOST_SERIES} can be told apart in one plot")
    rows = _sorted(spec, table.rows, x, ys[0])
    rows = rows[: spec.top] if spec.top > 0 else rows
    labels = [str(n) for n in range(1, len(rows) + 1)] if x is None else [row[x].strip() for row in rows]
    name = "row" if x is None else _named(table, x, spec.x_label or "x")
    series = [Series(_named(table, y, spec.y_label or "value"), _numbers(table, rows, y)) for y in ys]
    if not any(value is not None for each in series for value in each.values):
        raise CannotPlot(f"has no number in {_words(table, ys[0])}")
    return Points(name, labels, series)


def values(spec: PlotSpec, table: Table) -> list[Series]:
    """The values that a histogram counts, gaps left out. Raises CannotPlot."""
    ys = [_column(table, name) for name in spec.y] or [0]
    found = [
        Series(_named(table, y, spec.x_label or "value"), [v for v in _numbers(table, table.rows, y) if v is not None])
        for y in ys[:MOST_SERIES]
    ]
    if not any(series.values for series in found):
        raise CannotPlot(f"has no number in {_words(table, ys[0])}")
    return found


def _column(table: Table, wanted: str) -> int:
    """Where a column stands, by its name or its number from 1."""
    if wanted in table.columns:
        return table.columns.index(wanted)
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(table.columns):
        return int(wanted) - 1
    shown = ", ".join(table.columns[:20]) + (" …" if len(table.columns) > 20 else "")
    raise CannotPlot(f"has no column {wanted!r}; its columns are {shown}")


def _named(table: Table, column: int, otherwise: str) -> str:
    """A column's name; where the data has no header, what the plot calls it."""
    name = table.columns[column]
    return otherwise if name == str(column + 1) else name


def _words(table: Table, column: int) -> str:
    name = table.columns[column]
    return f"column {name}" if name == str(column + 1) else f"column {column + 1} ({name})"


def _numbers(table: Table, rows: Sequence[Sequence[str]], column: int) -> list[float | None]:
    found: list[float | None] = []
    for row in rows:
        try:
            found.append(number(row[column]))
        except ValueError:
            cell = row[column].strip()
            cell = cell if len(cell) <= 40 else f"{cell[:39]}…"
            raise CannotPlot(f"has {cell!r} in {_words(table, column)}, which is no number") from None
    return found


def _sorted(spec: PlotSpec, rows: list[list[str]], x: int | None, y: int) -> list[list[str]]:
    if spec.sort == "y":
        return sorted(rows, key=lambda row: -_rank(row[y]))
    if spec.sort == "x" and x is not None:
        by_number = all(is_number(row[x]) for row in rows)
        return sorted(rows, key=lambda row: (_rank(row[x]), "") if by_number else (0.0, row[x]))
    return rows


def _rank(cell: str) -> float:
    """For sorting: gaps are the smallest."""
    try:
        value = number(cell)
    except ValueError:
        value = None
    return float("-inf") if value is None else value
