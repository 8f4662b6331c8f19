"""Editing `configuration` for its owner: comments, order and all that was not asked for stay; nothing half is there.

An edit is judged as a whole before it is written: values that cannot be read, or that contradict each other, leave the
file as it was.
"""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError

from . import settings
from .keys import BY_NAME
from .settings import Settings

_PLAIN = re.compile(r"[A-Za-z0-9._:/@,+-]*")


def parse(words: Mapping[str, str]) -> dict[str, str]:
    """These changes, if a volunteer may make them. Raises ConfigurationError naming the nearest key."""
    for key, value in words.items():
        if key not in BY_NAME:
            from difflib import get_close_matches  # noqa: PLC0415  (only for the message)

            near = get_close_matches(key, BY_NAME, 1)
            hint = f"did you mean {near[0]}?" if near else "`dockercomp-worker configure` lists them."
            raise ConfigurationError(f"{key}: not a key of a worker's configuration; {hint}")
        if "'" in value or not value.isprintable():
            raise ConfigurationError(f"{key}: a value has one line and no single quote.")
    return dict(words)


def edited(text: str, changes: Mapping[str, str]) -> str:
    """The text with these keys set, or taken out where the value is empty. Pure.

    The line in force, the last one, is replaced in its place and keeps its comment; else a line follows the comment
    that explains the key; else it comes last.
    """
    ends = "\r" if "\r\n" in text else ""
    lines = text.removesuffix("\n").split("\n") if text else []
    for key, value in changes.items():
        found = [place for place, line in enumerate(lines) if _sets(line, key)]
        shown = [place for place, line in enumerate(lines) if re.match(rf"#\s*{key}=", line)]
        if value and found:
            lines[found[-1]] = _line(key, value) + _comment(lines[found[-1]]) + ends
        elif value:
            lines.insert(shown[-1] + 1 if shown else len(lines), _line(key, value) + ends)
        gone = found[:-1] if value else found
        lines = [line for place, line in enumerate(lines) if place not in gone]
    return "".join(line + "\n" for line in lines)


def change(source: Path, changes: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Write these changes into the file, whole or not at all; the settings that follow from it.

    Raises ConfigurationError, naming the line that would be wrong, or OSError; then the file is as it was. Safe against
    another edit at the same time, and keeps the file's mode and owner.
    """
    path, wanted = source.resolve(), parse(changes)
    with _alone(path):
        text = edited(configuration.text(path) if path.exists() else "", wanted)
        try:
            values = configuration.parse(text, str(path))
            settings.from_values(configuration.under(values, _without(environ, wanted)), path, environ)
            found = settings.from_values(configuration.under(values, environ), path, environ)
        except ConfigurationError as error:
            raise ConfigurationError(configuration.placed_in(str(error), text, path)) from error
        _replace(path, text)
    return found


def overruled(changes: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> list[str]:
    """Which of the keys a variable of the environment sets otherwise, and so wins."""
    return [key for key, value in changes.items() if environ.get(key, value) != value]


def _without(environ: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """What is written is judged also where a variable wins over it now: the worker may run with another environment."""
    return {key: value for key, value in environ.items() if key not in set(keys)}


def _sets(line: str, key: str) -> bool:
    return re.match(rf"\s*(?:export\s+)?{key}=", line) is not None


def _line(key: str, value: str) -> str:
    return f"{key}={value}" if _PLAIN.fullmatch(value) else f"{key}='{value}'"


def _comment(line: str) -> str:
    """What follows the value: blanks and a comment."""
    found = re.match(r"[^=]*=(?:'[^']*'|[^\s#']*)([ \t]*#[^\r]*)\r?$", line)
    return found[1] if found else ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else of ours edits meanwhile. The folder is locked, as the file itself is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    """A new file in place of the old one, with its mode and owner; only its owner reads a new one, with its token."""
    facts = path.stat() if path.exists() else None
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if facts is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), facts.st_uid, facts.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(facts.st_mode))
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
