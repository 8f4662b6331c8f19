"""The rules of what makes a job one that can run."""

import msgspec
import pytest

from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.job_rules import check_spec, placeholders, violations
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ResourcesSpec, VerifySpec

GOOD = JobSpec(
    name="good",
    image="dockercomp/python",
    input=InputSpec(split="lines"),
    map=ProgramSpec(command=["python3", "map.py"]),
)


def job(**changes: object) -> JobSpec:
    return msgspec.structs.replace(GOOD, **changes)


def broken(**changes: object) -> list[str]:
    return [violation.path for violation in violations(job(**changes))]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "Größe 2.0 + x_y-z"},
        {"image": "registry.example:5000/team/Image:v1@sha256:" + "0" * 64},
        {"input": InputSpec(split="records", record_size=16, chunk_size=64)},
        {"input": InputSpec(split="files", files_per_chunk=3), "map": ProgramSpec(command=["./m", "{inputs}"])},
        {"input": InputSpec(split="files"), "map": ProgramSpec(command=["./m", "--in={input}", "{output}"])},
        {"input": InputSpec(split="range", stop=10**9), "map": ProgramSpec(command=["m", "{start}", "{stop}"])},
        {"reduce": ProgramSpec(command=["sort", "-m", "{inputs}"])},
        {"map": ProgramSpec(command=["awk", "{print $1} {sum}"])},
        {"map": ProgramSpec(function="pkg.module:run")},
        {"environment": {"OMP_NUM_THREADS": "1"}},
    ],
)
def test_a_job_that_can_run_breaks_no_rule(changes: dict[str, object]) -> None:
    check_spec(job(**changes))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"image": ""}, "image"),
        ({"image": "has space"}, "image"),
        ({"retries": 0}, "retries"),
        ({"input": InputSpec(split="lines", chunk_size=0)}, "input.chunk_size"),
        ({"input": InputSpec(split="records", chunk_size=8)}, "input.record_size"),
        ({"input": InputSpec(split="records", record_size=9, chunk_size=8)}, "input.record_size"),
        ({"input": InputSpec(split="files", files_per_chunk=0)}, "input.files_per_chunk"),
        ({"input": InputSpec(split="range", start=5, stop=5)}, "input.stop"),
        ({"input": InputSpec(split="range", stop=5, per_chunk=0)}, "input.per_chunk"),
        ({"input": InputSpec(split="range", stop=10**13)}, "input.per_chunk"),
        ({"input": InputSpec(split="range", stop=2**63)}, "input"),
        ({"map": ProgramSpec()}, "map"),
        ({"map": ProgramSpec(command=["x"], function="a:b")}, "map"),
        ({"reduce": ProgramSpec()}, "reduce"),
        ({"map": ProgramSpec(function="map.py")}, "map.function"),
        ({"map": ProgramSpec(function="map:run\n")}, "map.function"),
        ({"map": ProgramSpec(command=[])}, "map.command"),
        ({"map": ProgramSpec(command=["a\0b"])}, "map.command"),
        ({"map": ProgramSpec(command=["x" * 70_000])}, "map.command"),
        ({"map": ProgramSpec(command=["x", "{start}"])}, "map.command"),
        ({"map": ProgramSpec(command=["x", "{inputs}"])}, "map.command"),
        ({"map": ProgramSpec(command=["x", "{output_dir}"])}, "map.command"),
        ({"reduce": ProgramSpec(command=["x", "{stop}"])}, "reduce.command"),
        ({"reduce": ProgramSpec(command=["x", "{input}"])}, "reduce.command"),
        ({"reduce": ProgramSpec(command=["x", "--in={inputs}"])}, "reduce.command"),
        ({"verify": VerifySpec(quorum=0)}, "verify.quorum"),
        ({"resources": ResourcesSpec(cpus=0)}, "resources.cpus"),
        ({"resources": ResourcesSpec(cpus=float("nan"))}, "resources.cpus"),
        ({"resources": ResourcesSpec(memory=1024)}, "resources.memory"),
        ({"resources": ResourcesSpec(disk=0)}, "resources.disk"),
        ({"resources": ResourcesSpec(time_limit=0)}, "resources.time_limit"),
        ({"environment": {"1X": "y"}}, "environment.1X"),
        ({"environment": {"DC_HOME": "/"}}, "environment.DC_HOME"),
        ({"environment": {"X": "a\0"}}, "environment.X"),
        ({"environment": {"X": "a" * 70_000}}, "environment"),
    ],
)
def test_a_broken_rule_is_found_at_its_place(changes: dict[str, object], path: str) -> None:
    assert broken(**changes) == [path]


def test_files_split_with_several_files_a_chunk_needs_inputs() -> None:
    changes = {
        "input": InputSpec(split="files", files_per_chunk=2),
        "map": ProgramSpec(command=["x", "{input}"]),
    }
    with pytest.raises(InvalidJob, match=r"use \{inputs\}"):
        check_spec(job(**changes))


def test_every_broken_rule_is_named_at_once() -> None:
    with pytest.raises(InvalidJob, match=r"retries: .*; map: .*") as caught:
        check_spec(job(retries=0, map=ProgramSpec()))
    assert caught.value.status == 422


def test_only_the_exact_words_are_placeholders() -> None:
    assert placeholders(["{print $1}", "a{index}b", "{ input }", "{inputs}"]) == {"{index}", "{inputs}"}
