"""Whether the programs that a job file names can be there: checked in the job folder, before anything is sent.

What an image holds is not known here; a name close to a usual one, and nowhere to be found, is taken for a slip.
"""

import os
import shutil
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from .jobfile import JobFile
from .notation import nearest
from .protocol.orders import JobSpec, ProgramSpec

_INTERPRETERS = ("python", "sh", "bash", "dash", "ksh", "zsh", "perl", "ruby", "Rscript", "node", "julia", "lua", "php")
_SCRIPTS = (".py", ".sh", ".pl", ".rb", ".R", ".r", ".js", ".mjs", ".jl", ".lua", ".php")
_INLINE = ("-c", "-m", "-e")
_TOOLS = """awk sed grep sort uniq head tail tr cut cat comm join paste split tee wc xargs find env jq java octave
timeout gzip gunzip zcat bzip2 xz tar unzip sha256sum md5sum curl ffmpeg convert sqlite3 bc make gcc cc go cargo
busybox echo printf seq shuf test true false"""
_USUAL = (*_INTERPRETERS, "python3", *_TOOLS.split())


def check(folder: Path, file: JobFile) -> None:
    """Raises JobFileError with the line of a command or function that cannot be."""
    for stage, program in _programs(file.spec):
        if program.function is not None:
            _check_module(folder, file, f"{stage}.function", program.function)
        if program.command is not None:
            _check_command(folder, file, f"{stage}.command", program.command)
    if file.spec.setup:
        _check_command(folder, file, "setup", file.spec.setup)


def script(command: list[str]) -> str | None:
    """The file of the job folder that a command starts; None where it only uses what the image has."""
    first = command[0]
    if "/" in first:
        return None if first.startswith("/") else first
    if not first.rstrip("0123456789.").endswith(_INTERPRETERS):
        return None
    for argument in command[1:]:
        if argument in _INLINE:
            return None
        if not argument.startswith("-"):
            return argument if argument.endswith(_SCRIPTS) and not argument.startswith("/") else None
    return None


def _programs(spec: JobSpec) -> Iterator[tuple[str, ProgramSpec]]:
    for stage, program in (("map", spec.map), ("combine", spec.combine), ("reduce", spec.reduce)):
        if program is not None:
            yield stage, program


def _check_module(folder: Path, file: JobFile, key: str, function: str) -> None:
    module = Path(*function.split(":", maxsplit=1)[0].split("."))
    if not any((folder / found).is_file() for found in (module.with_suffix(".py"), module / "__init__.py")):
        near = nearest(f"{module}.py", _names(folder))
        raise file.error(key, f"{function!r} needs {module.with_suffix('.py')}, which is not in {folder}{near}")


def _check_command(folder: Path, file: JobFile, key: str, command: list[str]) -> None:
    name = script(command)
    if name is None:
        _check_name(folder, file, key, command[0])
        return
    path = folder / name
    if not path.is_file():
        raise file.error(key, f"{name} is not in {folder}{nearest(name.removeprefix('./'), _names(folder))}")
    if name == command[0]:
        _check_start(file, key, path, name)


def _check_name(folder: Path, file: JobFile, key: str, name: str) -> None:
    """A program without a path: a file of the job folder, or one that the image has."""
    if "/" in name:
        return
    if (folder / name).is_file():
        _check_start(file, key, folder / name, name)
    elif name not in _USUAL and shutil.which(name) is None:
        near = get_close_matches(name, (*_USUAL, *_names(folder)), 1, 0.75)
        if near and near[0] not in name:  # gsort, egrep and mksh are not slips
            raise file.error(
                key, f"there is no program {name} in {folder}, and images usually have none; did you mean '{near[0]}'?"
                f" (If the image has it, write its whole path, such as /usr/bin/{name}.)"
            )  # fmt: skip


def _check_start(file: JobFile, key: str, path: Path, name: str) -> None:
    """A script without its run bit is started by its first line; anything else needs the bit."""
    if os.access(path, os.X_OK):
        return
    with path.open("rb") as program:
        if program.read(2) != b"#!":
            raise file.error(
                key,
                f"{name} is not executable and has no first line such as #!/bin/sh; add one, or run: chmod +x {path}",
            )


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_file()))
