"""Rules of what a job runs: its programs, their placeholders and outputs, how map, combine and reduce fit together."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from .orders import NUMBER_SPLITS, InputSpec, JobSpec, ProgramSpec, ReduceSpec
from .violation import Violation

PLACEHOLDERS = ("{input}", "{inputs}", "{output}", "{output_dir}", "{index}", "{start}", "{stop}")
"""The exact words that are replaced in a command's arguments; any other brace stays."""

LONGEST_COMMAND = 64 * 1024
MOST_PATTERNS = 100
LONGEST_PATTERN = 1000
MOST_PARTITIONS = 1000
MOST_FAN_IN = 10_000
MOST_CHOICES = 100
LONGEST_QUESTION = 2000
LONGEST_CHOICE = 200

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def programs(spec: JobSpec) -> Iterator[Violation]:
    """Every rule that the job's programs break."""
    yield from _one("map", spec.map, spec.input)
    if spec.map.question is not None:
        yield from _question(spec)
    elif spec.map.choices:
        yield Violation("map.choices", "are the answers to a question: give map.question, or leave it out")
    if spec.combine is not None:
        yield from _combine(spec.combine, spec)
    if spec.reduce is not None:
        yield from _reduce(spec.reduce, spec)
    yield from command_line("setup", spec.setup)
    for word in sorted(placeholders(spec.setup)):
        yield Violation("setup", f"{word} has no meaning before the first chunk")


def placeholders(command: Sequence[str]) -> set[str]:
    """The placeholders that a command uses."""
    return {word for word in PLACEHOLDERS for argument in command if word in argument}


def parameters_of(command: Sequence[str], input_: InputSpec) -> set[str]:
    """The parameters of a product split that a command uses as placeholders."""
    return {name for name in input_.parameters for argument in command if f"{{{name}}}" in argument}


def makes_files(program: ProgramSpec) -> bool:
    """Whether the result is several files: `outputs`, or a command that writes into {output_dir}."""
    return bool(program.outputs) or any("{output_dir}" in word for word in program.command or ())


def command_line(path: str, command: Sequence[str]) -> Iterator[Violation]:
    if command and not command[0]:
        yield Violation(path, 'must begin with a program, such as ["python3", "map.py"]')
    if any("\0" in argument for argument in command):
        yield Violation(path, "must not contain a zero byte")
    if sum(len(argument.encode(errors="replace")) + 1 for argument in command) > LONGEST_COMMAND:
        yield Violation(path, "is over 64 KiB; put long texts into a file of the job folder")


def relative(pattern: str) -> bool:
    """Whether a pattern names files below a folder, and nothing else."""
    path = PurePosixPath(pattern)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in pattern


# --- one program -----------------------------------------------------------------------------------------------------


def _one(stage: str, program: ProgramSpec, input_: InputSpec) -> Iterator[Violation]:
    ways = [program.command, program.function, program.question]
    if sum(way is not None for way in ways) != 1:
        more = " (or question)" if stage == "map" else ""
        yield Violation(stage, f"needs exactly one of command and function{more}")
    if program.question is not None and stage != "map":
        yield Violation(f"{stage}.question", "is asked in [map] only")
    if program.function is not None and not _FUNCTION.fullmatch(program.function):
        yield Violation(f"{stage}.function", f"{program.function!r} is not of the form module:name, such as map:count")
    if program.command is not None:
        if not program.command:
            yield Violation(f"{stage}.command", 'must name a program, such as ["python3", "map.py"]')
        yield from command_line(f"{stage}.command", program.command)
        yield from _words(stage, program, input_)
    yield from _outputs(f"{stage}.outputs", program)


def _words(stage: str, program: ProgramSpec, input_: InputSpec) -> Iterator[Violation]:
    command, path = program.command or [], f"{stage}.command"
    for word in sorted(placeholders(command)):
        reason = _misplaced(word, stage, command, input_)
        if reason:
            yield Violation(path, f"{word} {reason}")
    if program.outputs and "{output}" in placeholders(command):
        yield Violation(path, f"{{output}} is the whole result, but {stage}.outputs takes files; leave one of them out")
    if stage == "map" and input_.per_chunk > 1 and (named := sorted(parameters_of(command, input_))):
        yield Violation(path, f"{{{named[0]}}} has one value only with per_chunk = 1; a chunk has {input_.per_chunk}")


def _misplaced(word: str, stage: str, command: list[str], input_: InputSpec) -> str:
    """Why a placeholder makes no sense there; empty where it does."""
    mapping = stage == "map"
    if stage == "combine" and word != "{index}":
        return "has no meaning in [combine]: it reads the map's lines on standard input and writes to standard output"
    if word in ("{start}", "{stop}") and not (mapping and input_.split in NUMBER_SPLITS):
        return 'stands for a chunk\'s numbers: only in [map] with split = "range" or "product"'
    if word == "{inputs}" and mapping and input_.split != "files":
        return 'stands for several files: only with split = "files", or in [reduce]; use {input}'
    if word == "{inputs}" and any(word in argument and argument != word for argument in command):
        return "becomes several arguments, so it must be one of its own"
    if word == "{input}" and not mapping:
        return "stands for a chunk's file: only in [map]; read standard input, or use {inputs}"
    if word == "{input}" and input_.split in NUMBER_SPLITS:
        return f'has no meaning with split = "{input_.split}"; use {{start}} and {{stop}}, or a parameter\'s name'
    if word == "{input}" and input_.split == "files" and input_.files_per_chunk > 1:
        return "stands for one file, but a chunk has several; use {inputs}, or files_per_chunk = 1"
    return ""


def _outputs(path: str, program: ProgramSpec) -> Iterator[Violation]:
    for pattern in program.outputs:
        if not relative(pattern):
            yield Violation(
                path, f'{pattern!r} must name files below the working directory, such as "out/*.csv": no / at the'
                " beginning and no .."
            )  # fmt: skip
    if len(set(program.outputs)) < len(program.outputs):
        yield Violation(path, "names a pattern twice")
    if len(program.outputs) > MOST_PATTERNS or any(len(pattern) > LONGEST_PATTERN for pattern in program.outputs):
        yield Violation(path, f"may hold {MOST_PATTERNS} patterns of {LONGEST_PATTERN} letters")


# --- how they fit together -------------------------------------------------------------------------------------------


def _question(spec: JobSpec) -> Iterator[Violation]:
    asked = spec.map
    if not asked.question or len(asked.question) > LONGEST_QUESTION:
        yield Violation("map.question", f"must be 1 to {LONGEST_QUESTION} letters")
    if spec.input.split != "files" or spec.input.files_per_chunk != 1:
        yield Violation("map.question", 'is asked about one file at a time: needs split = "files", files_per_chunk = 1')
    if any(not choice.strip() or "\n" in choice or len(choice) > LONGEST_CHOICE for choice in asked.choices):
        yield Violation("map.choices", f"must each be one line of 1 to {LONGEST_CHOICE} letters")
    if len(set(asked.choices)) < len(asked.choices) or len(asked.choices) > MOST_CHOICES:
        yield Violation("map.choices", f"must be at most {MOST_CHOICES}, all different")
    if asked.outputs:
        yield Violation("map.outputs", "are files that a program writes; a question has none")
    if spec.combine is not None:
        yield Violation("combine", "runs on what a program gives; a question has none")


def _combine(combine: ProgramSpec, spec: JobSpec) -> Iterator[Violation]:
    yield from _one("combine", combine, spec.input)
    if combine.outputs:
        yield Violation("combine.outputs", "has no meaning: [combine] writes lines to standard output")
    if makes_files(spec.map):
        yield Violation("combine", "reads what the map writes to standard output, but this map's result is files")


def _reduce(reduce: ReduceSpec, spec: JobSpec) -> Iterator[Violation]:
    yield from _one("reduce", reduce, spec.input)
    if not 1 <= reduce.partitions <= MOST_PARTITIONS:
        yield Violation("reduce.partitions", f"must be between 1 and {MOST_PARTITIONS}")
    if reduce.fan_in and not 2 <= reduce.fan_in <= MOST_FAN_IN:
        yield Violation("reduce.fan_in", f"must be between 2 and {MOST_FAN_IN}, or 0 for one reducer over all results")
    if reduce.partitions > 1 and makes_files(spec.map):
        yield Violation(
            "reduce.partitions",
            "divides lines by key, but this map's result is files: they are divided by pattern, a reducer for each",
        )
    if reduce.fan_in and reduce.partitions > 1:
        yield Violation("reduce.fan_in", "makes a tree that ends in one reducer, so it needs partitions = 1")
    if reduce.fan_in and (makes_files(spec.map) or makes_files(reduce)):
        yield Violation(
            "reduce.fan_in", "feeds a reducer's output to the next one, so map and reduce must write to standard output"
        )
