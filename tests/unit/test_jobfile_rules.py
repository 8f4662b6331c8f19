"""The rules of what makes a job one that can run."""

import msgspec
import pytest

from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.job_rules import check_spec, placeholders, violations
from dockercomp.protocol.orders import (
    ColumnRule,
    InputSpec,
    JobSpec,
    PlotSpec,
    ProgramSpec,
    ReduceSpec,
    ResourcesSpec,
    VerifySpec,
    WantsSpec,
)

GOOD = JobSpec(
    name="good",
    image="dockercomp/python",
    input=InputSpec(split="lines"),
    map=ProgramSpec(command=["python3", "map.py"]),
)


def job(**changes: object) -> JobSpec:
    return msgspec.structs.replace(GOOD, **changes)


def product(per_chunk: int = 1, **parameters: list[str | int | float | bool]) -> InputSpec:
    return InputSpec(split="product", per_chunk=per_chunk, parameters=parameters)


FILES = ProgramSpec(command=["x"], outputs=["*.csv"])


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
        {"reduce": ReduceSpec(command=["sort", "-m", "{inputs}"])},
        {"map": ProgramSpec(command=["awk", "{print $1} {sum}"])},
        {"map": ProgramSpec(function="pkg.module:run")},
        {"environment": {"OMP_NUM_THREADS": "1"}},
        {"map": ProgramSpec(command=["x", "{output_dir}"])},
        {"map": ProgramSpec(command=["x"], outputs=["out/*.csv", "**/x"]), "reduce": ReduceSpec(function="m:f")},
        {"map": ProgramSpec(question="?"), "image": "", "input": InputSpec(split="files")},
        {"map": ProgramSpec(command=["x", "{seed}"]), "input": product(seed=[1, 2], mode=["a", 0.5, True])},
        {"map": ProgramSpec(command=["x", "{start}"]), "input": product(2, seed=[1, 2])},
        {
            "combine": ProgramSpec(command=["uniq", "-c"]),
            "reduce": ReduceSpec(command=["x"], partitions=1000, sort=True),
        },
        {"reduce": ReduceSpec(command=["x", "{inputs}"], fan_in=16, sort=True)},
        {"wants": WantsSpec(network=True, capabilities=["CHOWN"], devices=["/dev/kvm"], reason="To fetch tiles.")},
        {"wants": WantsSpec(reason="Large maps."), "resources": ResourcesSpec(disk=5 * 2**30)},
        {"verify": VerifySpec(compare="image", pixel=3)},
        {"verify": VerifySpec(compare="csv", ulp=1, columns={"a b": ColumnRule(compare="number", atol=0.1)})},
        {"setup": ["sh", "-c", "true"], "priority": -100, "notify": ["https://h/x?y", "mailto:a@b"]},
        {"plots": [PlotSpec(kind="bar", y=["a"], top=10), PlotSpec(kind="image", file="out/*.png")]},
    ],
)
def test_a_job_that_can_run_breaks_no_rule(changes: dict[str, object]) -> None:
    check_spec(job(**changes))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"wants": WantsSpec(capabilities=["SYS_ADMIN"])}, "wants.capabilities"),
        ({"wants": WantsSpec(capabilities=["CHOWN", "CHOWN"])}, "wants.capabilities"),
        ({"wants": WantsSpec(devices=["/dev/sda"])}, "wants.devices"),
        ({"wants": WantsSpec(network=True, reason="x" * 501)}, "wants.reason"),
        ({"wants": WantsSpec(reason="just so")}, "wants.reason"),
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
        ({"reduce": ReduceSpec()}, "reduce"),
        ({"map": ProgramSpec(function="map.py")}, "map.function"),
        ({"map": ProgramSpec(function="map:run\n")}, "map.function"),
        ({"map": ProgramSpec(command=[])}, "map.command"),
        ({"map": ProgramSpec(command=["a\0b"])}, "map.command"),
        ({"map": ProgramSpec(command=["x" * 70_000])}, "map.command"),
        ({"map": ProgramSpec(command=["x", "{start}"])}, "map.command"),
        ({"map": ProgramSpec(command=["x", "{inputs}"])}, "map.command"),
        ({"reduce": ReduceSpec(command=["x", "{stop}"])}, "reduce.command"),
        ({"reduce": ReduceSpec(command=["x", "{input}"])}, "reduce.command"),
        ({"reduce": ReduceSpec(command=["x", "--in={inputs}"])}, "reduce.command"),
        ({"verify": VerifySpec(quorum=0)}, "verify.quorum"),
        ({"verify": VerifySpec(compare="lines", atol=1)}, "verify.atol"),
        ({"verify": VerifySpec(compare="json", rtol=-1)}, "verify.rtol"),
        ({"verify": VerifySpec(compare="json", rtol=float("nan"))}, "verify.rtol"),
        ({"verify": VerifySpec(compare="json", pixel=1)}, "verify.pixel"),
        ({"verify": VerifySpec(compare="image", pixel=256)}, "verify.pixel"),
        ({"verify": VerifySpec(compare="json", columns={"a": ColumnRule()})}, "verify.columns"),
        ({"verify": VerifySpec(compare="csv", columns={"a": ColumnRule(ulp=1)})}, "verify.columns.a"),
        ({"map": ProgramSpec(command=["x"], outputs=["a/../b"])}, "map.outputs"),
        ({"map": ProgramSpec(command=["x"], outputs=["/a"])}, "map.outputs"),
        ({"map": ProgramSpec(command=["x"], outputs=[""])}, "map.outputs"),
        ({"map": ProgramSpec(command=["x"], outputs=["a", "a"])}, "map.outputs"),
        ({"map": ProgramSpec(command=["x", "{output}"], outputs=["a"])}, "map.command"),
        ({"map": ProgramSpec(command=["x"], choices=["a"])}, "map.choices"),
        ({"map": ProgramSpec(command=["x"], question="?"), "input": InputSpec(split="files")}, "map"),
        ({"map": ProgramSpec(question="?")}, "map.question"),
        ({"map": ProgramSpec(question="?", choices=["a", "a"]), "input": InputSpec(split="files")}, "map.choices"),
        (
            {
                "image": "",
                "map": ProgramSpec(question="?"),
                "input": InputSpec(split="files"),
                "reduce": ReduceSpec(command=["x"]),
            },
            "image",
        ),
        ({"combine": ProgramSpec()}, "combine"),
        ({"combine": ProgramSpec(command=["x", "{output}"])}, "combine.command"),
        ({"combine": ProgramSpec(command=["x"], outputs=["a"])}, "combine.outputs"),
        ({"combine": ProgramSpec(command=["x"]), "map": FILES}, "combine"),
        ({"reduce": ReduceSpec(question="?")}, "reduce.question"),
        ({"reduce": ReduceSpec(command=["x"], partitions=0)}, "reduce.partitions"),
        ({"reduce": ReduceSpec(command=["x"], partitions=1001)}, "reduce.partitions"),
        ({"reduce": ReduceSpec(command=["x"], partitions=2), "map": FILES}, "reduce.partitions"),
        ({"reduce": ReduceSpec(command=["x"], partitions=2, fan_in=2)}, "reduce.fan_in"),
        ({"reduce": ReduceSpec(command=["x"], fan_in=1)}, "reduce.fan_in"),
        ({"reduce": ReduceSpec(command=["x"], fan_in=10_001)}, "reduce.fan_in"),
        ({"reduce": ReduceSpec(command=["x"], fan_in=2), "map": FILES}, "reduce.fan_in"),
        ({"reduce": ReduceSpec(command=["x", "{output_dir}"], fan_in=2)}, "reduce.fan_in"),
        ({"input": product()}, "input.parameters"),
        ({"input": product(seed=[])}, "input.parameters.seed"),
        ({"input": product(index=[1])}, "input.parameters.index"),
        ({"input": product(seed=["a\0"])}, "input.parameters.seed"),
        ({"input": product(seed=[10**400])}, "input.parameters.seed"),
        ({"input": product(seed=[float("inf")])}, "input.parameters.seed"),
        ({"input": product(a=[1] * 10_001, b=[1] * 10_000, c=[1] * 10_000)}, "input.parameters"),
        ({"input": product(2, seed=[1]), "map": ProgramSpec(command=["x{seed}"])}, "map.command"),
        ({"input": InputSpec(split="lines", parameters={"a": [1]})}, "input.parameters"),
        ({"input": InputSpec(split="lines", include=[""])}, "input.include"),
        ({"input": InputSpec(split="csv", chunk_size=0)}, "input.chunk_size"),
        ({"input": InputSpec(split="range", stop=1, fetch="workers")}, "input"),
        ({"setup": [""]}, "setup"),
        ({"setup": ["x", "{input}"]}, "setup"),
        ({"priority": 101}, "priority"),
        ({"notify": ["ftp://x"]}, "notify"),
        ({"notify": ["mailto:nobody"]}, "notify"),
        ({"plots": [PlotSpec(kind="bar"), PlotSpec(kind="bar", file="/x")]}, "plots.2.file"),
        ({"plots": [PlotSpec(kind="image", x="1")]}, "plots.1"),
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
