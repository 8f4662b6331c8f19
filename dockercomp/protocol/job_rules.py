"""What makes a job one that can run: the rules beyond types, the same for the job file's reader and for the master.

A JobSpec that was decoded has the right types already; these rules are about ranges and about what fits together. Those
of programs stand in program_rules, those of comparing and of plots in result_rules.
"""

import math
import re
from collections.abc import Iterator

import msgspec

from .errors import InvalidJob
from .orders import (
    BYTE_SPLITS,
    CAPABILITIES,
    DEVICES,
    NUMBER_SPLITS,
    InputSpec,
    JobSpec,
    ResourcesSpec,
    wants_of,
)
from .program_rules import PLACEHOLDERS, command_line, placeholders, programs
from .result_rules import plots, verification
from .violation import Violation

__all__ = ["PLACEHOLDERS", "Violation", "check_spec", "command_line", "placeholders", "violations"]

MOST_CHUNKS = 10**12
MOST_FILES_PER_CHUNK = 10_000
LARGEST_CHUNK = 16 * 2**30
SMALLEST_MEMORY = 8 * 2**20
SMALLEST_DISK = 2**20
LARGEST_BYTES = 16 * 2**40
LARGEST_NUMBER = 2**62
LARGEST_PARAMETERS = 2**20
LONGEST_TIME = 30 * 24 * 3600.0
MOST_RETRIES = 100
MOST_PRIORITY = 100
MOST_NOTIFY = 10
LONGEST_ADDRESS = 2000
LONGEST_ENVIRONMENT = 64 * 1024
LONGEST_REASON = 500

_NAME = re.compile(r"\w[\w .+-]{0,99}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"(https?://|mailto:[^@\s]+@)[^\s/@?#][^\s]*")


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
    if not _IMAGE.fullmatch(spec.image) and (spec.image or _needs_image(spec)):
        yield Violation("image", f"{spec.image!r} is not an image name such as dockercomp/python or debian:12")
    if not 1 <= spec.retries <= MOST_RETRIES:
        yield Violation("retries", f"must be between 1 and {MOST_RETRIES}")
    if not -MOST_PRIORITY <= spec.priority <= MOST_PRIORITY:
        yield Violation("priority", f"must be between -{MOST_PRIORITY} and {MOST_PRIORITY}")
    yield from _notify(spec.notify)
    yield from _input(spec.input)
    yield from programs(spec)
    yield from verification(spec.verify)
    yield from _resources(spec.resources)
    yield from _wants(spec)
    yield from _environment(spec.environment)
    yield from plots(spec.plots)


def _needs_image(spec: JobSpec) -> bool:
    return spec.map.question is None or spec.reduce is not None


def _notify(addresses: list[str]) -> Iterator[Violation]:
    if len(addresses) > MOST_NOTIFY:
        yield Violation("notify", f"may name {MOST_NOTIFY} addresses")
    for address in addresses:
        if len(address) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(address):
            yield Violation("notify", f"{address!r} is neither https://…, http://… nor mailto:NAME@HOST")


# --- input -----------------------------------------------------------------------------------------------------------


def _input(spec: InputSpec) -> Iterator[Violation]:
    given = (spec.chunk_size, spec.record_size, spec.files_per_chunk, spec.start, spec.stop, spec.per_chunk)
    if max(map(abs, given)) > LARGEST_NUMBER:
        yield Violation("input", "has a number that is not within 2^62")
        return
    if spec.split in BYTE_SPLITS and not 1 <= spec.chunk_size <= LARGEST_CHUNK:
        yield Violation("input.chunk_size", "must be between 1 byte and 16 GiB")
    if spec.split == "records" and not 1 <= spec.record_size <= spec.chunk_size:
        yield Violation("input.record_size", "must be given, and between 1 byte and chunk_size")
    if spec.split == "files" and not 1 <= spec.files_per_chunk <= MOST_FILES_PER_CHUNK:
        yield Violation("input.files_per_chunk", f"must be between 1 and {MOST_FILES_PER_CHUNK}")
    if spec.split in NUMBER_SPLITS:
        yield from _numbers(spec)
    elif any(not pattern for pattern in spec.include):
        yield Violation("input.include", 'holds an empty pattern; write one such as "*.csv"')
    if spec.parameters and spec.split != "product":
        yield Violation("input.parameters", 'belongs to split = "product"')


def _numbers(spec: InputSpec) -> Iterator[Violation]:
    if spec.fetch != "master" or spec.include or spec.unpack is not None:
        yield Violation("input", f'split = "{spec.split}" reads no input, so there is nothing to fetch or unpack')
    if spec.per_chunk < 1:
        yield Violation("input.per_chunk", "must be at least 1")
    elif spec.split == "product":
        yield from _product(spec)
    elif spec.start >= spec.stop:
        yield Violation(
            "input.stop", f"must be above start ({spec.start}); the range {spec.start}..{spec.stop} is empty"
        )
    elif (spec.stop - spec.start) // spec.per_chunk >= MOST_CHUNKS:
        yield Violation("input.per_chunk", "makes more than 10^12 chunks; choose a larger one")


def _product(spec: InputSpec) -> Iterator[Violation]:
    if not spec.parameters:
        yield Violation("input.parameters", "is missing: name each parameter and its values, such as seed = [1, 2, 3]")
    for name, values in spec.parameters.items():
        path = f"input.parameters.{name}"
        if f"{{{name}}}" in PLACEHOLDERS:
            yield Violation(path, f"{{{name}}} stands for something else in a command; choose another name")
        elif not _VARIABLE.fullmatch(name):
            yield Violation(path, "is not a name made of letters, digits and _")
        if not values:
            yield Violation(path, "has no value")
        for value in values:
            if isinstance(value, str):
                if "\0" in value:
                    yield Violation(path, "must not contain a zero byte")
            elif abs(value) > LARGEST_NUMBER if isinstance(value, int) else not math.isfinite(value):
                yield Violation(path, f"{value} is not a finite number within 2^62")
    if math.prod(map(len, spec.parameters.values())) > MOST_CHUNKS:
        yield Violation("input.parameters", "make more than 10^12 combinations")
    if len(msgspec.json.encode(spec.parameters)) > LARGEST_PARAMETERS:
        yield Violation("input.parameters", "are over 1 MiB; put long lists into a file of the job folder")


# --- the rest --------------------------------------------------------------------------------------------------------


def _resources(spec: ResourcesSpec) -> Iterator[Violation]:
    if not 0.01 <= spec.cpus <= 1024:
        yield Violation("resources.cpus", "must be between 0.01 and 1024")
    elif not 0 <= spec.least_cpus <= spec.cpus:
        yield Violation("resources.least_cpus", f"must be between 0 and cpus, which is {spec.cpus:g}")
    if not SMALLEST_MEMORY <= spec.memory <= LARGEST_BYTES:
        yield Violation("resources.memory", "must be between 8 MiB and 16 TiB")
    if not SMALLEST_DISK <= spec.disk <= LARGEST_BYTES:
        yield Violation("resources.disk", "must be between 1 MiB and 16 TiB")
    if not 0.1 <= spec.time_limit <= LONGEST_TIME:
        yield Violation("resources.time_limit", "must be between 0.1 s and 30 days")


def _wants(spec: JobSpec) -> Iterator[Violation]:
    wants = spec.wants
    for key, asked, known in (
        ("capabilities", wants.capabilities, CAPABILITIES),
        ("devices", wants.devices, DEVICES),
    ):
        for each in asked:
            if each not in known:
                way_out = f"cannot be had, whoever allows it; there are {', '.join(sorted(known))}"
                yield Violation(f"wants.{key}", f"{each[:100]!r} {way_out}")
        if len(asked) > len(set(asked)):
            yield Violation(f"wants.{key}", "names something twice")
    if len(wants.reason) > LONGEST_REASON:
        yield Violation("wants.reason", f"is over {LONGEST_REASON} characters; a sentence is enough")
    if wants.reason and not wants_of(wants, spec.resources.disk):
        yield Violation("wants.reason", "gives a reason, but nothing is wanted")


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
