"""From a task to the runner's run: arguments, input and environment, as a job's program form says. Mostly pure; the
files that a program shall find are placed by `place`, in the folder mounted read-only at /dc/in."""

import io
import json
import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dockercomp.protocol.messages import INLINE_LIMIT
from dockercomp.protocol.orders import JobOrder, stage_of

from .channel import Run
from .tasks import Task

JOB_FOLDER = "/dc/job"
INPUT_FOLDER = "/dc/in"
FUNCTION_HOST = "/dc/function_host.py"
OUTPUT_FILE = "/tmp/.dc-output"  # noqa: S108  (the container's own scratch, empty before each run)
SCRATCH = "/tmp"  # noqa: S108
_CHUNK = "chunk"
_WIDTH_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS", "DC_WIDTH")


def run_of(order: JobOrder, task: Task, cpus: float, folder: Path, *, has_program: bool) -> Run:
    """The run of a task; `folder` is the host's side of /dc/in, empty. Raises OSError where input cannot be placed."""
    program = stage_of(order, task.stage).program
    cwd = JOB_FOLDER if has_program else SCRATCH
    environment = _environment(order, task, cpus)
    limit_ms = max(1, int(order.resources.time_limit * 1000))
    if program.function is not None:
        call = _call(order, task, program.function, folder)
        return Run("function", limit_ms, cwd, call, "", ("python3", FUNCTION_HOST), environment)
    command = program.command or ()
    words = " ".join(command)
    argv = _arguments(command, task, _paths(task, folder) if "{input}" in words or "{inputs}" in words else [])
    output = OUTPUT_FILE if "{output}" in words else ""
    stdin = None if "{input" in words else _stdin(order, task, folder)
    return Run("command", limit_ms, cwd, stdin, output, argv, environment)


def _arguments(command: Sequence[str], task: Task, paths: Sequence[str]) -> tuple[str, ...]:
    """The command with its placeholders filled in; any other brace stays. `{inputs}` alone becomes one word a file."""
    values = {"{index}": str(task.index), "{output}": OUTPUT_FILE}
    if task.start is not None:
        values["{start}"] = str(task.start)
    if task.stop is not None:
        values["{stop}"] = str(task.stop)
    if paths:
        values["{input}"] = paths[0]
    found: list[str] = []
    for word in command:
        if word == "{inputs}":
            found += paths
            continue
        for name, value in values.items():
            word = word.replace(name, value)  # noqa: PLW2901
        found.append(word)
    return tuple(found)


def _environment(order: JobOrder, task: Task, cpus: float) -> tuple[str, ...]:
    width = str(max(1, round(cpus)))
    values = {
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DC_JOB": order.job,
        "DC_INDEX": str(task.index),
        **({} if task.start is None else {"DC_START": str(task.start)}),
        **({} if task.stop is None else {"DC_STOP": str(task.stop)}),
        **dict.fromkeys(_WIDTH_VARIABLES, width),
        **order.environment,
    }
    return tuple(f"{name}={value}" for name, value in values.items())


def _stdin(order: JobOrder, task: Task, folder: Path) -> bytes | str | None:
    if task.stage == 0 and order.split == "range":
        return None
    if isinstance(task.input, bytes) and len(task.input) <= INLINE_LIMIT:
        return task.input
    return place(task.input, folder, _CHUNK)


def _paths(task: Task, folder: Path) -> list[str]:
    """The input as files: its pieces under their own names, or one file."""
    if task.pieces is None:
        return [place(task.input, folder, _CHUNK)]
    paths = []
    with _open(task.input) as source:
        for piece in task.pieces:
            target = folder / piece.name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise OSError(f"a piece of the input has an impossible name: {piece.name}")
            _folders(target.parent, folder)
            with target.open("wb") as file:
                _copy(source, file, piece.size)
            target.chmod(0o644)
            paths.append(f"{INPUT_FOLDER}/{piece.name}")
    return paths


def _call(order: JobOrder, task: Task, function: str, folder: Path) -> bytes:
    """What the function host reads: what to call, and small input."""
    asked: dict[str, object] = {"function": function, "kind": "bytes"}
    inline = b""
    if task.stage == 0 and order.split == "range":
        asked |= {"kind": "range", "start": task.start, "stop": task.stop}
    elif task.stage == 0 and order.split == "files":
        asked |= {"kind": "paths", "paths": _paths(task, folder)}
    elif task.pieces is not None:
        sizes = [piece.size for piece in task.pieces]
        asked |= {"kind": "pieces", "path": place(task.input, folder, _CHUNK), "sizes": sizes}
    elif isinstance(task.input, bytes) and len(task.input) <= INLINE_LIMIT:
        inline = task.input
    else:
        asked |= {"path": place(task.input, folder, _CHUNK)}
    described = json.dumps(asked).encode()
    return struct.pack("<I", len(described)) + described + inline


def _open(data: bytes | Path) -> IO[bytes]:
    return io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        block = source.read(min(size, 1 << 20))
        if not block:
            raise OSError("the input is shorter than its pieces")
        target.write(block)
        size -= len(block)


def _folders(path: Path, root: Path) -> None:
    """Make the folders of a piece's name, readable by the container's user."""
    if path != root:
        _folders(path.parent, root)
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def place(data: bytes | Path, folder: Path, name: str) -> str:
    """Put input where the container reads it, by a link where it is a file already; returns its path in there."""
    target = folder / name
    target.unlink(missing_ok=True)
    if isinstance(data, bytes):
        target.write_bytes(data)
    else:
        try:
            os.link(data, target)
        except OSError:  # another file system
            shutil.copyfile(data, target)
    target.chmod(0o644)
    return f"{INPUT_FOLDER}/{name}"


def clear(folder: Path) -> None:
    """Empty the input folder, which itself is mounted and stays."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
