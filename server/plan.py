"""Which stages a job has, how many chunks each, and when a reducer may begin: pure rules, no I/O.

    no reduce           map
    flat                map, then one reducer over all results in chunk order
    partitions          map, then a reducer for each partition; with `outputs` of the map, for each of its patterns
    tree (fan_in)       map, then levels of reducers, each over fan_in results of the level below, until one is left

A tree's reducer may begin as soon as its own inputs are accepted; the others wait for the whole map.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from dockercomp.protocol.orders import JobSpec, ProgramSpec


@dataclass(frozen=True)
class Stage:
    name: str
    total: int
    """Chunks in all."""


def explicit(spec: JobSpec) -> JobSpec:
    """The job with what goes without saying: a command with {output_dir} and no `outputs` means all files there."""
    if _writes_folder(spec.map):
        spec = replace(spec, map=replace(spec.map, outputs=["**"]))
    if spec.reduce is not None and _writes_folder(spec.reduce):
        spec = replace(spec, reduce=replace(spec.reduce, outputs=["**"]))
    return spec


def _writes_folder(program: ProgramSpec) -> bool:
    return not program.outputs and any("{output_dir}" in word for word in program.command or ())


def stages(spec: JobSpec, chunks: int) -> list[Stage]:
    """The stages of a job whose map has so many chunks."""
    plan = [Stage("map", chunks)]
    if spec.reduce is None:
        return plan
    if not spec.reduce.fan_in:
        return [*plan, Stage("reduce", sections(spec))]
    while len(plan) == 1 or plan[-1].total > 1:
        plan.append(Stage(f"reduce {len(plan)}", -(-plan[-1].total // spec.reduce.fan_in)))
    return [*plan[:1], Stage("reduce", 1)] if len(plan) == 2 else plan


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


def ready(spec: JobSpec, done: int, below: int, total: int) -> int:
    """How many of the `total` chunks of a reduce stage may be handed out, when of the `below` chunks of the stage
    before it the first `done` are accepted."""
    if done >= below:
        return total
    fan_in = spec.reduce.fan_in if spec.reduce else 0
    return done // fan_in if fan_in else 0


def group(spec: JobSpec, index: int, below: int) -> tuple[int, int]:
    """The results [first, last) of the stage below that a tree's reducer `index` gets."""
    fan_in = spec.reduce.fan_in if spec.reduce else 0
    return index * fan_in, min((index + 1) * fan_in, below)


def bundled(spec: JobSpec, stage: int) -> bool:
    """Whether the results of a stage are bundles."""
    if stage == 0:
        return bool(spec.map.outputs) or divided(spec)
    return spec.reduce is not None and bool(spec.reduce.outputs)
