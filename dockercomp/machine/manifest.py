"""DC_HOME/manifest.jsonl: what an instance put on its machine, and whether it was there before.

One JSON object a line, appended and on disk before the thing itself is made, so that what an interruption leaves behind
is known. The first record of a thing decides: `existed` is what it was before any of ours touched it. Shell scripts
append the same lines (`record` in setup.sh).
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["package", "file", "directory", "tree", "mount", "service", "image"]
"""`directory` is removed if it is empty then, `tree` with all that is in it; `service` is a systemd unit's file;
`image` an image's tag or id; the others are package names and absolute paths."""


@dataclass(frozen=True)
class Entry:
    kind: Kind
    name: str
    existed: bool


def path_of(home: Path) -> Path:
    return home / "manifest.jsonl"


def record(home: Path, kind: Kind, name: str, *, existed: bool = False) -> None:
    """Write down a thing that is about to be made; returns once the line is on disk."""
    if not any((entry.kind, entry.name) == (kind, name) for entry in entries(home)):
        _append(home, {"kind": kind, "name": name, "existed": existed})


def forget(home: Path, kind: Kind, name: str) -> None:
    """Write down that a thing was taken away again."""
    _append(home, {"kind": kind, "name": name, "removed": True})


def entries(home: Path) -> list[Entry]:
    """What stands now, in the order it was made. A line torn by an interruption is left out: its thing was not made."""
    found: dict[tuple[str, str], Entry] = {}
    for line in _lines(home):
        key = (line["kind"], line["name"])
        if line.get("removed"):
            found.pop(key, None)
        elif line["kind"] in get_args(Kind):
            found.setdefault(key, Entry(line["kind"], line["name"], bool(line.get("existed"))))
    return list(found.values())


def _lines(home: Path) -> Iterator[dict[str, Any]]:
    path = path_of(home)
    for raw in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("kind"), str) and isinstance(line.get("name"), str):
            yield line


def _append(home: Path, line: dict[str, object]) -> None:
    path = path_of(home)
    torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    text = ("\n" if torn else "") + json.dumps(line, separators=(",", ":")) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
