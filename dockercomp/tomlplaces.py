"""On which line of a TOML text a table or key stands: for messages, which tomllib gives no lines for.

Close enough, not a parser: what is read is decided by tomllib alone.
"""

import re
from collections import Counter
from collections.abc import Iterator

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w-]+)"""
_PATH = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\s*({_PATH})\s*\]\s*(?:#.*)?")
_ROW = re.compile(rf"\s*\[\[\s*({_PATH})\s*\]\]\s*(?:#.*)?")
_KEY = re.compile(rf"\s*({_PATH})\s*=")


def places(text: str) -> dict[str, int]:
    """Line numbers, from 1, of tables and keys by their dotted path; rows of `[[name]]` are `name.1`, `name.2` …"""
    found: dict[str, int] = {}
    for number, parts in _paths(text):
        for length in range(1, len(parts) + 1):
            found.setdefault(".".join(parts[:length]), number)
    return found


def _paths(text: str) -> Iterator[tuple[int, list[str]]]:
    table: list[str] = []
    rows: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if row := _ROW.fullmatch(line):
            *above, name = _plain(row[1])
            array = [*_numbered(above, rows), name]
            rows[".".join(array)] += 1
            table = _numbered([*above, name], rows)
            yield number, table
        elif header := _HEADER.fullmatch(line):
            table = _numbered(_plain(header[1]), rows)
            yield number, table
        elif key := _KEY.match(line):
            yield number, [*table, *_plain(key[1])]


def _numbered(parts: list[str], rows: Counter[str]) -> list[str]:
    """The path with the number of the latest row after each array of tables in it."""
    found: list[str] = []
    for part in parts:
        found.append(part)
        if latest := rows[".".join(found)]:
            found.append(str(latest))
    return found


def _plain(path: str) -> list[str]:
    return [part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, path)]
