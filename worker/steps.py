"""The steps of a chunk: its input sorted, its program, the combine program over what that gave, its lines divided.

sort_input     input -> sorted lines
program        input -> output
combine        output -> sorted lines -> output of the combine program
partitions     output -> a bundle of sections by key
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from dockercomp.protocol.messages import Failure
from dockercomp.protocol.orders import ProgramSpec, StageOrder

from . import shuffle
from .capture import digest_of
from .shuffle import Cancelled, NotLines, Stopped
from .tasks import Outcome, Task

Step = Callable[[ProgramSpec, Task], Outcome]
"""Runs one program over a task's input, in the container."""


def run_all(step: Step, stage: StageOrder, task: Task, spool: Path, cancelled: Cancelled) -> Outcome:
    """All steps of a chunk, each over what the one before gave; the first that fails is the outcome."""
    try:
        outcome = _sorted_first(step, stage, task, spool, cancelled)
        if stage.combine is not None and not outcome.failure:
            outcome = _combined(step, stage.combine, task, outcome, spool, cancelled)
        if stage.partitions > 1 and not outcome.failure:
            outcome = _divided(outcome, stage.partitions, spool, cancelled)
    except Stopped:
        return Outcome(failure=Failure(reason="refused", message="cancelled"))
    except NotLines as error:
        return Outcome(failure=Failure(reason="output", message=f"the output cannot be divided by key: {error}"))
    except OSError as error:
        return Outcome(failure=Failure(reason="engine", message=f"lines could not be sorted or divided here: {error}"))
    return outcome


def _sorted_first(step: Step, stage: StageOrder, task: Task, spool: Path, cancelled: Cancelled) -> Outcome:
    if not stage.sort_input:
        return step(stage.program, task)
    sizes = None if task.pieces is None else [piece.size for piece in task.pieces]
    data = shuffle.sort(task.input, sizes, spool, cancelled)
    try:
        return step(stage.program, replace(task, input=data, sorted=True))
    finally:
        discard(data)


def _combined(
    step: Step, combine: ProgramSpec, task: Task, mapped: Outcome, spool: Path, cancelled: Cancelled
) -> Outcome:
    try:
        data = shuffle.sort(mapped.payload, None, spool, cancelled)
    finally:
        discard(mapped.payload)
    try:
        combined = step(combine, replace(task, input=data, pieces=None, sorted=True))
    finally:
        discard(data)
    return replace(
        combined,
        failure=combined.failure and _of_combine(combined.failure),
        input_digest=mapped.input_digest,
        cpu_s=mapped.cpu_s + combined.cpu_s,
        wall_s=mapped.wall_s + combined.wall_s,
        memory_peak=max(mapped.memory_peak, combined.memory_peak),
        log=mapped.log + combined.log,
    )


def _of_combine(failure: Failure) -> Failure:
    return structs.replace(failure, message=f"the combine program {failure.message}")


def _divided(outcome: Outcome, partitions: int, spool: Path, cancelled: Cancelled) -> Outcome:
    try:
        data = shuffle.divide(outcome.payload, partitions, spool, cancelled)
    finally:
        discard(outcome.payload)
    size = len(data) if isinstance(data, bytes) else data.stat().st_size
    return replace(outcome, payload=data, size=size, digest=digest_of(data))


def discard(data: bytes | Path) -> None:
    """Delete what is a file."""
    if isinstance(data, Path):
        with contextlib.suppress(OSError):
            data.unlink(missing_ok=True)
