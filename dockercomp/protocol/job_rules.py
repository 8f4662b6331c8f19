"""What makes a job one that can run: the rules beyond types, the same for the job file's reader and for the master.

A JobSpec that was decoded has the right types already; these rules are about ranges and about what fits together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import InvalidJob
from .orders import InputSpec, JobSpec, ProgramSpec, ResourcesSpec, VerifySpec

PLACEHOLDERS = ("{input}", "{inputs}", "{output}", "{output_dir}", "{index}", "{start}", "{stop}")
"""The exact words that are replaced in a command's arguments; any other brace stays."""

MOST_CHUNKS = 10**12
MOST_FILES_PER_CHUNK = 10_000
LARGEST_CHUNK = 16 * 2**30
SMALLEST_MEMORY = 8 * 2**20
SMALLEST_DISK = 2**20
LARGEST_BYTES = 16 * 2**40
LARGEST_NUMBER = 2**62
LONGEST_TIME = 30 * 24 * 3600.0
MOST_QUORUM = 15
MOST_RETRIES = 100
LONGEST_COMMAND = 64 * 1024
LONGEST_ENVIRONMENT = 64 * 1024

_NAME = re.compile(r"\w[\w .+-]{0,99}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Violation:
    """One broken rule. `path` is the dotted place in the job file, such as `input.chunk_size`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def check_spec(spec: JobSpec) -> None:
    """Raises InvalidJob naming every broken rule, one sentence each."""
    found = list(violations(spec))
    if found:
        raise InvalidJob("; ".join(map(str, found)))


def violations(spec: JobSpec) -> Iterator[Violation]:
    """Every rule that `spec` breaks, in the job file's order."""
    if not _NAME.fullmatch(spec.name):
        yield Violation(
            "name", "must be 1 to 100 letters, digits, spaces and . _ + - , beginning with a letter or digit"
        )
    if not _IMAGE.fullmatch(spec.image):
        yield Violation("image", f"{spec.image!r} is not an image name such as dockercomp/python or debian:12")
    if not 1 <= spec.retries <= MOST_RETRIES:
        yield Violation("retries", f"must be between 1 and {MOST_RETRIES}")
    yield from _input(spec.input)
    yield from _program("map", spec.map, spec.input)
    if spec.reduce is not None:
        yield from _program("reduce", spec.reduce, spec.input)
    yield from _verify(spec.verify)
    yield from _resources(spec.resources)
    yield from _environment(spec.environment)


def placeholders(command: list[str]) -> set[str]:
    """The placeholders that a command uses."""
    return {word for word in PLACEHOLDERS for argument in command if word in argument}


def _input(spec: InputSpec) -> Iterator[Violation]:
    if spec.split in ("lines", "bytes", "records") and not 1 <= spec.chunk_size <= LARGEST_CHUNK:
        yield Violation("input.chunk_size", "must be between 1 byte and 16 GiB")
    if spec.split == "records" and not 1 <= spec.record_size <= spec.chunk_size:
        yield Violation("input.record_size", "must be given, and between 1 byte and chunk_size")
    if spec.split == "files" and not 1 <= spec.files_per_chunk <= MOST_FILES_PER_CHUNK:
        yield Violation("input.files_per_chunk", f"must be between 1 and {MOST_FILES_PER_CHUNK}")
    if spec.split == "range":
        yield from _range(spec)


def _range(spec: InputSpec) -> Iterator[Violation]:
    if max(abs(spec.start), abs(spec.stop), abs(spec.per_chunk)) > LARGEST_NUMBER:
        yield Violation("input", "start, stop and per_chunk must be within 2^62")
    elif spec.start >= spec.stop:
        yield Violation(
            "input.stop", f"must be above start ({spec.start}); the range {spec.start}..{spec.stop} is empty"
        )
    elif spec.per_chunk < 1:
        yield Violation("input.per_chunk", "must be at least 1")
    elif (spec.stop - spec.start) // spec.per_chunk >= MOST_CHUNKS:
        yield Violation("input.per_chunk", "makes more than 10^12 chunks; choose a larger one")


def _program(stage: str, program: ProgramSpec, input_: InputSpec) -> Iterator[Violation]:
    if (program.command is None) == (program.function is None):
        yield Violation(stage, "needs exactly one of command and function")
    if program.function is not None and not _FUNCTION.fullmatch(program.function):
        yield Violation(f"{stage}.function", f"{program.function!r} is not of the form module:name, such as map:count")
    if program.command is not None:
        yield from _command(stage, program.command, input_)


def _command(stage: str, command: list[str], input_: InputSpec) -> Iterator[Violation]:
    path = f"{stage}.command"
    if not command or not command[0]:
        yield Violation(path, 'must name a program, such as ["python3", "map.py"]')
    if any("\0" in argument for argument in command):
        yield Violation(path, "must not contain a zero byte")
    if sum(len(argument.encode(errors="replace")) + 1 for argument in command) > LONGEST_COMMAND:
        yield Violation(path, "is over 64 KiB; put long texts into a file of the job folder")
    for word in sorted(placeholders(command)):
        reason = _misplaced(word, stage, command, input_)
        if reason:
            yield Violation(path, f"{word} {reason}")


def _misplaced(word: str, stage: str, command: list[str], input_: InputSpec) -> str:
    """Why a placeholder makes no sense there; empty where it does."""
    mapping = stage == "map"
    if word == "{output_dir}":
        return "is not supported yet; write the result to standard output or to {output}"
    if word in ("{start}", "{stop}") and not (mapping and input_.split == "range"):
        return 'stands for a chunk\'s numbers: only in [map] with split = "range"'
    if word == "{inputs}" and mapping and input_.split != "files":
        return 'stands for several files: only with split = "files", or in [reduce]; use {input}'
    if word == "{inputs}" and any(word in argument and argument != word for argument in command):
        return "becomes several arguments, so it must be one of its own"
    if word == "{input}" and not mapping:
        return "stands for a chunk's file: only in [map]; read standard input, or use {inputs}"
    if word == "{input}" and input_.split == "range":
        return 'has no meaning with split = "range"; use {start} and {stop}'
    if word == "{input}" and input_.split == "files" and input_.files_per_chunk > 1:
        return "stands for one file, but a chunk has several; use {inputs}, or files_per_chunk = 1"
    return ""


def _verify(spec: VerifySpec) -> Iterator[Violation]:
    if not 1 <= spec.quorum <= MOST_QUORUM:
        yield Violation("verify.quorum", f"must be between 1 and {MOST_QUORUM}")


def _resources(spec: ResourcesSpec) -> Iterator[Violation]:
    if not 0.01 <= spec.cpus <= 1024:
        yield Violation("resources.cpus", "must be between 0.01 and 1024")
    if not SMALLEST_MEMORY <= spec.memory <= LARGEST_BYTES:
        yield Violation("resources.memory", "must be between 8 MiB and 16 TiB")
    if not SMALLEST_DISK <= spec.disk <= LARGEST_BYTES:
        yield Violation("resources.disk", "must be between 1 MiB and 16 TiB")
    if not 0.1 <= spec.time_limit <= LONGEST_TIME:
        yield Violation("resources.time_limit", "must be between 0.1 s and 30 days")


def _environment(environment: dict[str, str]) -> Iterator[Violation]:
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            yield Violation(f"environment.{name}", "is not a variable name: letters, digits and _")
        elif name.startswith("DC_"):
            yield Violation(f"environment.{name}", "names beginning with DC_ are dockerComp's own")
        if "\0" in value:
            yield Violation(f"environment.{name}", "must not contain a zero byte")
    if (
        sum(len(f"{name}={value}".encode(errors="replace")) + 1 for name, value in environment.items())
        > LONGEST_ENVIRONMENT
    ):
        yield Violation("environment", "is over 64 KiB; put long texts into a file of the job folder")
