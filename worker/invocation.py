"""From a task to the runner's run: arguments, input and environment, as a job's program form says. Pure, but for the
files that a program shall find, which are placed where the container reads them."""

import json
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from dockercomp.protocol.messages import INLINE_LIMIT
from dockercomp.protocol.orders import NUMBER_SPLITS, JobOrder, ProgramSpec, outputs_of

from . import parameters
from .channel import Run
from .mounts import ALLOCATION, LIBRARY
from .placement import place, place_pieces
from .tasks import Task
from .width import variables

JOB_FOLDER = "/dc/job"
FUNCTION_HOST = "/dc/function_host.py"
SCRATCH = "/tmp"  # noqa: S108  (the container's own, empty before each run; all places below are in it)
WORK_FOLDER = f"{SCRATCH}/work"
OUTPUT_DIR = f"{SCRATCH}/out"
OUTPUT_FILE = f"{SCRATCH}/.dc-output"
SETUP_FOLDER = f"{SCRATCH}/setup"
CHECKPOINT, PROGRESS = f"{SCRATCH}/.dc-checkpoint", f"{SCRATCH}/.dc-progress"
_CHUNK = "chunk"


def run_of(
    order: JobOrder, program: ProgramSpec, task: Task, width: int, folder: Path, *, has_program: bool = True
) -> Run:
    """The run of a program over a task, `width` CPUs wide; `folder` is the host's side of /dc/in, empty. Raises OSError
    where input cannot be placed."""
    patterns = outputs_of(program)
    keep = SETUP_FOLDER if order.setup else ""
    environment = _environment(order, task, width)
    if program.function is not None:
        home = JOB_FOLDER if has_program else SCRATCH
        cwd = WORK_FOLDER if patterns else home
        return Run(
            mode="function",
            limit_ms=_limit_ms(order),
            cwd=home,
            argv=("python3", FUNCTION_HOST),
            env=environment,
            stdin=_call(order, task, program.function, cwd, width, folder),
            work=WORK_FOLDER if patterns else "",
            stdout="log" if patterns else "result",
            files=WORK_FOLDER if patterns else "",
            keep=keep,
        )
    command = program.command or ()
    words = " ".join(command)
    by_file = "{input}" in words or "{inputs}" in words
    return Run(
        mode="command",
        limit_ms=_limit_ms(order),
        cwd=WORK_FOLDER,
        argv=_arguments(command, _values(order, task), _paths(order, task, folder) if by_file else []),
        env=environment,
        stdin=None if by_file else _stdin(order, task, folder),
        work=WORK_FOLDER,
        stdout="log" if patterns or "{output}" in words else "result",
        output=OUTPUT_FILE if "{output}" in words else "",
        files=(OUTPUT_DIR if "{output_dir}" in words else WORK_FOLDER) if patterns else "",
        keep=keep,
    )


def setup_of(order: JobOrder, width: int) -> Run:
    """The run of a job's `setup`: no input, and no result but what it leaves in SETUP_FOLDER."""
    return Run(
        mode="command",
        limit_ms=_limit_ms(order),
        cwd=WORK_FOLDER,
        argv=tuple(order.setup),
        env=_environment(order, None, width),
        work=WORK_FOLDER,
        stdout="log",
        keep=SETUP_FOLDER,
    )


def _limit_ms(order: JobOrder) -> int:
    return max(1, int(order.resources.time_limit * 1000))


def _arguments(command: Sequence[str], values: Mapping[str, str], paths: Sequence[str]) -> tuple[str, ...]:
    """The command with its placeholders filled in; any other brace stays. `{inputs}` alone becomes one word a file."""
    known = {**values, **({"{input}": paths[0]} if paths else {})}
    pattern = re.compile("|".join(map(re.escape, known)))
    found: list[str] = []
    for word in command:
        found += paths if word == "{inputs}" else [pattern.sub(lambda match: known[match[0]], word)]
    return tuple(found)


def _values(order: JobOrder, task: Task) -> dict[str, str]:
    """What stands for a chunk in arguments, but for its files; a product's parameters where it has one combination."""
    values: dict[str, str] = {}
    start, stop = task.start, task.stop
    if start is not None and stop is not None:
        values = {"{start}": str(start), "{stop}": str(stop)}
        if order.parameters and stop - start == 1:
            chosen = parameters.combination(order.parameters, start)
            values |= {f"{{{name}}}": parameters.text(value) for name, value in chosen.items()}
    return {**values, "{index}": str(task.index), "{output}": OUTPUT_FILE, "{output_dir}": OUTPUT_DIR}


def _environment(order: JobOrder, task: Task | None, width: int) -> tuple[str, ...]:
    """The same on every machine but for the width, so that results are. The job's own words win."""
    values = {
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DC_JOB": order.job,
        "DC_ALLOCATION": ALLOCATION,
        **({"DC_CHECKPOINT": CHECKPOINT, "DC_PROGRESS": PROGRESS} if task is not None else {}),
        **({"DC_SETUP": SETUP_FOLDER} if order.setup else {}),
        **_of_this_run(task),
        **variables(width),
        **order.environment,
    }
    return *(f"{name}={value}" for name, value in values.items()), f"+PYTHONPATH={LIBRARY}"


def _of_this_run(task: Task | None) -> dict[str, str]:
    """What differs from one chunk to the next; a warm process is told of it with each call."""
    numbers = {"DC_INDEX": task.index, "DC_START": task.start, "DC_STOP": task.stop} if task is not None else {}
    return {name: str(value) for name, value in numbers.items() if value is not None}


# --- input -------------------------------------------------------------------------------------------------------


def _is_numbers(order: JobOrder, task: Task) -> bool:
    return task.stage == 0 and order.split in NUMBER_SPLITS and not task.sorted


def _stdin(order: JobOrder, task: Task, folder: Path) -> bytes | str | None:
    data = _data(order, task)
    if data is None:
        return None
    return data if isinstance(data, bytes) and len(data) <= INLINE_LIMIT else place(data, folder, _CHUNK)


def _paths(order: JobOrder, task: Task, folder: Path) -> list[str]:
    """The input as files: its pieces under their own names, or one file."""
    if task.pieces is None or task.sorted:
        return [place(_data(order, task) or b"", folder, _CHUNK)]
    return place_pieces(task.input, task.pieces, folder)


def _data(order: JobOrder, task: Task) -> bytes | Path | None:
    """What a program reads: the input, of a product its combinations as lines, of a range nothing."""
    if not _is_numbers(order, task):
        return task.input
    if order.split == "range":
        return None
    return b"".join(parameters.lines(order.parameters, task.start or 0, task.stop or 0))


def _call(order: JobOrder, task: Task, function: str, cwd: str, width: int, folder: Path) -> bytes:
    """What the function host reads: what to call, and small input."""
    told = {**_of_this_run(task), **variables(width, warm=True), **order.environment}
    asked: dict[str, object] = {"function": function, "cwd": cwd, "kind": "bytes", "environment": told}
    inline = b""
    if _is_numbers(order, task) and order.split == "range":
        asked |= {"kind": "range", "start": task.start, "stop": task.stop}
    elif task.stage == 0 and order.split == "files" and not task.sorted:
        asked |= {"kind": "paths", "paths": _paths(order, task, folder)}
    elif task.pieces is not None and not task.sorted:
        sizes = [piece.size for piece in task.pieces]
        asked |= {"kind": "pieces", "path": place(task.input, folder, _CHUNK), "sizes": sizes}
    else:
        asked["kind"] = "lines" if task.sorted else "combinations" if _is_numbers(order, task) else "bytes"
        data = _stdin(order, task, folder)
        if isinstance(data, bytes):
            inline = data
        else:
            asked["path"] = data
    described = json.dumps(asked).encode()
    return struct.pack("<I", len(described)) + described + inline
