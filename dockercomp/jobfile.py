"""Reads a job file (job.toml) into a JobSpec; whatever is wrong is named with its line and how to mend it.

The job file's own notation ends here: sizes ("8 MiB"), durations ("10 min"). What must hold beyond notation stands in
protocol/job_rules.py, which the master applies too.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import msgspec

from .protocol.errors import InvalidJob
from .protocol.job_rules import violations
from .protocol.orders import JobSpec, Split
from .tomlplaces import places

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

JOB_FILE = "job.toml"

_SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
               "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # fmt: skip
_TIME_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")

Reader = Callable[[Any], Any]


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
    values = _read_tables(raw, lambda path, message: problems.append(_located(lines, path, message)))
    if problems:
        raise JobFileError("\n".join(problems))
    spec = msgspec.convert(values, JobSpec)
    broken = [_located(lines, found.path, str(found)) for found in violations(spec)]
    if broken:
        raise JobFileError("\n".join(broken))
    return JobFile(spec, lines)


# --- values --------------------------------------------------------------------------------------------------------


def size(value: Any) -> int:
    """Bytes of a size such as "8 MiB". Raises ValueError."""
    found = _quantity(value, _SIZE_UNITS)
    if found is None:
        raise ValueError(f'{value!r} is not a size; write a number and a unit in quotes, such as "8 MiB" or "1 GiB"')
    return int(found)


def duration(value: Any) -> float:
    """Seconds of a duration such as "10 min". Raises ValueError."""
    found = _quantity(value, _TIME_UNITS)
    if found is None:
        raise ValueError(f'{value!r} is not a duration; write a number and ms, s, min, h or d, such as "10 min"')
    return found


def _quantity(value: Any, units: Mapping[str, float]) -> float | None:
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) * units[match[2]] if match and match[2] in units else None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text in quotes")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a whole number, without quotes")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("must be a number, without quotes")
    return float(value)


def _command(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError('must be a list of texts, such as ["python3", "map.py"]; for a shell: ["sh", "-c", "…"]')
    return value


def _choice(*names: str, later: tuple[str, ...] = ()) -> Reader:
    def read(value: Any) -> str:
        if value in later:
            raise ValueError(f"{value!r} is not supported yet; use {_either(names)}")
        if value not in names:
            raise ValueError(f"{value!r} is not one of {_either(names)}{_nearest(value, names)}")
        return str(value)

    return read


def _variables(value: Any) -> dict[str, str]:
    for name, text in value.items():
        if not isinstance(text, str):
            raise ValueError(f'{name} must be a text in quotes, such as {name} = "{text}"')
    return dict(value)


# --- tables --------------------------------------------------------------------------------------------------------

_PROGRAM: dict[str, Reader] = {"command": _command, "function": _text}
_TABLES: dict[str, dict[str, Reader]] = {
    "": {"name": _text, "image": _text, "retries": _integer},
    "input": {
        "split": _choice(*get_args(Split)),
        "chunk_size": size,
        "record_size": size,
        "files_per_chunk": _integer,
        "start": _integer,
        "stop": _integer,
        "per_chunk": _integer,
    },
    "map": _PROGRAM,
    "reduce": _PROGRAM,
    "verify": {
        "policy": _choice("none", "quorum", "adaptive"),
        "quorum": _integer,
        "compare": _choice("bytes", later=("lines", "json", "numbers", "csv", "image")),
    },
    "resources": {"cpus": _number, "memory": size, "disk": size, "time_limit": duration},
}
_LATER = frozenset({
    "sort", "map.outputs", "reduce.outputs", "reduce.partitions", "reduce.fan_in", "reduce.sort", "verify.rtol",
    "verify.atol", "verify.ulp", "verify.same_owner", "resources.gpus", "priority", "deadline",
})  # fmt: skip
_NEEDED = ("name", "image", "input", "map", "input.split")
_SPLITS_OF = {
    "chunk_size": ("lines", "bytes", "records"),
    "record_size": ("records",),
    "files_per_chunk": ("files",),
    "start": ("range",),
    "stop": ("range",),
    "per_chunk": ("range",),
}

Report = Callable[[str, str], None]


def _read_tables(raw: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The values of all tables, in JobSpec's shape; each thing wrong is told to `report` with its path."""
    values = _read_keys("", {key: value for key, value in raw.items() if key not in _SECTIONS}, report)
    for table in (table for table in raw if table in _SECTIONS):
        if not isinstance(raw[table], dict):
            report(table, f"'{table}' must be a table: [{table}]")
        elif table == "environment":
            _read_one(values, "environment", _variables, raw[table], report)
        else:
            values[table] = _read_keys(table, raw[table], report)
    for path in _NEEDED:
        table, _, key = path.rpartition(".")
        if key not in (raw.get(table, {}) if table else raw) and not (table and table not in raw):
            report(table, f"{path} is missing" if table or key not in _SECTIONS else f"the table [{key}] is missing")
    _check_split(values.get("input", {}), report)
    return values


_SECTIONS = (_TABLES.keys() - {""}) | {"environment"}


def _read_keys(table: str, raw: Mapping[str, Any], report: Report) -> dict[str, Any]:
    readers = _TABLES[table]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        path = f"{table}.{key}" if table else key
        if key in readers:
            _read_one(values, path, readers[key], value, report)
        elif path in _LATER:
            report(path, f"{path} is not supported yet; leave it out")
        else:
            near = _nearest(key, (*readers, *(() if table else _SECTIONS)))
            report(path, f"unknown key '{key}'{f' in [{table}]' if table else ''}{near}")
    return values


def _read_one(values: dict[str, Any], path: str, reader: Reader, value: Any, report: Report) -> None:
    try:
        values[path.rpartition(".")[2]] = reader(value)
    except ValueError as error:
        report(path, f"{path}: {error}")


def _check_split(values: Mapping[str, Any], report: Report) -> None:
    split = values.get("split")
    if split is None:
        return
    for key in values.keys() & _SPLITS_OF.keys():
        if split not in _SPLITS_OF[key]:
            report(f"input.{key}", f"input.{key} belongs to split = {_either(_SPLITS_OF[key])}, not to {split!r}")
    for key in {"range": ["stop"], "records": ["record_size"]}.get(split, []):
        if key not in values:
            report("input", f"input.{key} is missing: split = {split!r} needs it")


def _located(lines: Mapping[str, int], path: str, message: str) -> str:
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return f"{JOB_FILE}, line {lines[path]}: {message}" if path else f"{JOB_FILE}: {message}"


def _syntax(message: str) -> str:
    where = re.search(r" \(at line (\d+), column (\d+)\)", message)
    if where is None:
        return f"{JOB_FILE}: not TOML: {message}"
    return f"{JOB_FILE}, line {where[1]}: not TOML: {message[: where.start()]} (column {where[2]})"


def _nearest(word: object, names: tuple[str, ...]) -> str:
    near = get_close_matches(str(word), names, 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _either(names: tuple[str, ...]) -> str:
    quoted = [f'"{name}"' for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
