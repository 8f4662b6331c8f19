"""Reads a job file (job.toml) into a JobSpec; whatever is wrong is named with its line and how to mend it.

The job file's own notation ends here (jobkeys, notation). What must hold beyond notation stands in
protocol/job_rules.py, which the master applies too.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .jobkeys import JOB, LATER, NEEDED_BY, SPLITS_OF, Named, Node, Rows, Table, homes
from .notation import duration, either, nearest, size
from .protocol.errors import InvalidJob
from .protocol.job_rules import violations
from .protocol.orders import JobSpec
from .tomlplaces import places

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["JOB_FILE", "JobFile", "JobFileError", "duration", "load", "parse", "size"]

JOB_FILE = "job.toml"

Report = Callable[[str, str], None]


class JobFileError(InvalidJob):
    """A job file that cannot be used. One line for each thing wrong: `job.toml, line 7: …`."""


@dataclass(frozen=True)
class JobFile:
    """A job file that was read: what it asks for, and where in the text each key stands."""

    spec: JobSpec
    lines: Mapping[str, int]

    def error(self, path: str, message: str) -> JobFileError:
        """An error about the key at the dotted `path`, to be raised."""
        return JobFileError(_located(self.lines, path, f"{path}: {message}"))


def load(folder: Path) -> JobFile:
    """Read `folder`/job.toml. Raises JobFileError, also where there is none."""
    path = folder / JOB_FILE
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        reason = "has no job.toml" if folder.is_dir() else "is not a folder"
        raise JobFileError(f"{folder} {reason}; make a job folder with: dockercomp init NAME") from None
    except NotADirectoryError:
        raise JobFileError(f"{folder} is not a folder; name the folder that holds job.toml") from None
    except UnicodeDecodeError as error:
        raise JobFileError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise JobFileError(f"{path} cannot be read: {error.strerror}") from None


def parse(text: str) -> JobFile:
    """Read the text of a job file. Raises JobFileError naming everything that is wrong."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise JobFileError(_syntax(str(error))) from None
    lines = places(text)
    problems: list[str] = []
    values = _read_job(raw, lambda path, message: problems.append(_located(lines, path, message)))
    if problems:
        raise JobFileError("\n".join(problems))
    spec = msgspec.convert(values, JobSpec)
    broken = [_located(lines, found.path, str(found)) for found in violations(spec)]
    if broken:
        raise JobFileError("\n".join(broken))
    return JobFile(spec, lines)


# --- tables ----------------------------------------------------------------------------------------------------------


def _read_job(raw: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The values of all tables, in JobSpec's shape; each thing wrong is told to `report` with its path."""
    values = _read_table(JOB, raw, "", report)
    if "image" not in raw and not (
        isinstance(raw.get("map"), dict) and "question" in raw["map"] and "reduce" not in raw
    ):
        report("", "image is missing")
    _check_split(values.get("input", {}), report)
    return values


def _read(node: Node, value: Any, path: str, report: Report) -> Any:
    """The value at `path`; None where it is wrong, which was reported."""
    if isinstance(node, Rows):
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            return report(path, f"'{path}' must be written [[{path}]], once for each")
        return [_read_table(node.row, row, f"{path}.{number}", report) for number, row in enumerate(value, 1)]
    if isinstance(node, Table | Named):
        if not isinstance(value, dict):
            return report(path, f"'{path}' must be a table: [{path}]")
        if isinstance(node, Table):
            return _read_table(node, value, path, report)
        return {name: _read(node.each, inner, f"{path}.{name}", report) for name, inner in value.items()}
    try:
        return node(value)
    except ValueError as error:
        return report(path, f"{path}: {error}")


def _read_table(table: Table, raw: Mapping[str, Any], path: str, report: Report) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in raw.items():
        at = f"{path}.{key}" if path else key
        if key in table.keys:
            values[key] = _read(table.keys[key], value, at, report)
        else:
            report(at, LATER.get(at) or _unknown(key, path, tuple(table.keys)))
    for key in table.needed:
        if key not in raw:
            inner = isinstance(table.keys[key], Table)
            report(path, f"the table [{key}] is missing" if inner else f"{f'{path}.' if path else ''}{key} is missing")
    return values


def _unknown(key: str, path: str, keys: tuple[str, ...]) -> str:
    elsewhere = homes(key)
    way_out = f"; it belongs {' or '.join(elsewhere)}" if elsewhere else nearest(key, keys)
    return f"unknown key '{key}'{f' in [{path}]' if path else ''}{way_out}"


def _check_split(values: Mapping[str, Any], report: Report) -> None:
    split = values.get("split")
    if split is None:
        return
    for key in [key for key in values if split not in SPLITS_OF.get(key, (split,))]:
        report(f"input.{key}", f"input.{key} belongs to split = {either(SPLITS_OF[key])}, not to {split!r}")
    needed = NEEDED_BY.get(split, "split")
    if needed not in values:
        report("input", f"input.{needed} is missing: split = {split!r} needs it")


# --- messages --------------------------------------------------------------------------------------------------------


def _located(lines: Mapping[str, int], path: str, message: str) -> str:
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return f"{JOB_FILE}, line {lines[path]}: {message}" if path else f"{JOB_FILE}: {message}"


def _syntax(message: str) -> str:
    where = re.search(r" \(at line (\d+), column (\d+)\)", message)
    if where is None:
        return f"{JOB_FILE}: not TOML: {message}"
    return f"{JOB_FILE}, line {where[1]}: not TOML: {message[: where.start()]} (column {where[2]})"
