"""Which stages a job has, how many chunks each, and when a reducer may begin: pure rules, no I/O.

    no reduce           map
    flat                map, then one reducer over all results in chunk order
    partitions          map, then a reducer for each partition; with `outputs` of the map, for each of its patterns
    tree (fan_in)       map, then levels of reducers, each over fan_in results of the level below, until one is left

A tree's reducer may begin as soon as its own inputs are accepted; the others wait for the whole map.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from dockercomp.protocol.orders import JobSpec, ProgramSpec
from server import splitting


@dataclass(frozen=True)
class Stage:
    """`total` chunks, which read the results of the stage `reads` (None: the map, which reads the input).

    The two `check` stages reduce the same results as a tree's first reducer does, but in two steps."""

    name: str
    total: int
    reads: int | None
    check: bool = False


def stage_of(document: Mapping[str, Any]) -> Stage:
    """A stage as a job's document holds it."""
    return Stage(document["name"], document["total"], document["reads"], document["check"])


def explicit(spec: JobSpec) -> JobSpec:
    """The job with what goes without saying: a command with {output_dir} and no `outputs` means all files there, and a
    product has so many combinations (`stop`)."""
    if spec.input.split == "product":
        spec = replace(spec, input=replace(spec.input, stop=splitting.combinations(spec.input)))
    if _writes_folder(spec.map):
        spec = replace(spec, map=replace(spec.map, outputs=["**"]))
    if spec.reduce is not None and _writes_folder(spec.reduce):
        spec = replace(spec, reduce=replace(spec.reduce, outputs=["**"]))
    return spec


def _writes_folder(program: ProgramSpec) -> bool:
    return not program.outputs and any("{output_dir}" in word for word in program.command or ())


def stages(spec: JobSpec, chunks: int) -> list[Stage]:
    """The stages of a job whose map has so many chunks."""
    plan = [Stage("map", chunks, None)]
    if spec.reduce is None:
        return plan
    if not spec.reduce.fan_in or chunks <= spec.reduce.fan_in:
        return [*plan, Stage("reduce", sections(spec), 0)]
    while len(plan) == 1 or plan[-1].total > 1:
        level = len(plan)
        plan.append(Stage(f"reduce {level}", -(-plan[-1].total // spec.reduce.fan_in), level - 1))
    return [*plan, Stage("check 1", 2, 0, check=True), Stage("check 2", 1, len(plan), check=True)]


def sections(spec: JobSpec) -> int:
    """Reducers that share the map's results: by pattern, by key, or one."""
    if spec.reduce is None:
        return 0
    return len(spec.map.outputs) or spec.reduce.partitions


def divided(spec: JobSpec) -> bool:
    """Whether each reducer gets a section of every result of the map (a bundle), rather than whole results."""
    return spec.reduce is not None and bool(spec.map.outputs or spec.reduce.partitions > 1)


def is_tree(spec: JobSpec) -> bool:
    return spec.reduce is not None and spec.reduce.fan_in > 0


def ready(spec: JobSpec, stage: Stage, done: int, below: int) -> int:
    """How many chunks of a reduce stage may be handed out, when of the `below` chunks of the stage that it reads the
    first `done` are accepted."""
    if not stage.check and done >= below:
        return stage.total
    if not is_tree(spec):
        return 0
    last = (group(spec, stage, index, below)[1] for index in range(stage.total)) if stage.check else ()
    return sum(done >= end for end in last) if stage.check else done // _fan_in(spec)


def group(spec: JobSpec, stage: Stage, index: int, below: int) -> tuple[int, int]:
    """The results [first, last) of the stage below that a tree's reducer `index` gets."""
    if stage.check and stage.reads == 0:
        sample = min(_fan_in(spec), below)
        half = (sample + 1) // 2
        return (half, sample) if index else (0, half)
    return index * _fan_in(spec), min((index + 1) * _fan_in(spec), below)


def readers(spec: JobSpec, stage: Stage, index: int, below: int) -> list[int]:
    """The chunks of a tree's reduce stage that read the result `index` of the `below` ones of the stage it reads."""
    near = range(stage.total) if stage.check else (index // _fan_in(spec),)
    groups = ((reader, group(spec, stage, reader, below)) for reader in near)
    return [reader for reader, (first, last) in groups if first <= index < last]


def _fan_in(spec: JobSpec) -> int:
    return spec.reduce.fan_in if spec.reduce else 0


def bundled(spec: JobSpec, stage: int) -> bool:
    """Whether the results of a stage are bundles."""
    if stage == 0:
        return bool(spec.map.outputs) or divided(spec)
    return spec.reduce is not None and bool(spec.reduce.outputs)
