"""On which line of a TOML text a table or key stands: for messages, which tomllib gives no lines for.

Close enough, not a parser: what is read is decided by tomllib alone.
"""

import re
from collections.abc import Iterator

_HEADER = re.compile(r"""\s*\[\s*([\w.\s"'-]+?)\s*\]\s*(?:#.*)?""")
_KEY = re.compile(r"""\s*([\w"'-]+(?:\s*\.\s*[\w"'-]+)*)\s*=""")


def places(text: str) -> dict[str, int]:
    """Line numbers, from 1, of tables and keys by their dotted path."""
    found: dict[str, int] = {}
    for number, path in _paths(text):
        parts = path.split(".")
        for length in range(1, len(parts) + 1):
            found.setdefault(".".join(parts[:length]), number)
    return found


def _paths(text: str) -> Iterator[tuple[int, str]]:
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _plain(header[1]) + "."
            yield number, table[:-1]
        elif key := _KEY.match(line):
            yield number, table + _plain(key[1])


def _plain(path: str) -> str:
    return re.sub(r"[\s\"']", "", path)
