"""From a task to what the runner is told."""

import json
from pathlib import Path

import pytest

from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder
from worker.channel import ChannelError, Run, decode_end
from worker.invocation import OUTPUT_FILE, run_of
from worker.tasks import Size, Task
from worker.width import VARIABLES, width_of

PIN = ImagePin(name="i", config_digest="sha256:" + "0" * 64, platform="linux/amd64")


def order(command: list[str], **environment: str) -> JobOrder:
    return JobOrder(
        version=1,
        job="j1",
        name="x",
        image=PIN,
        program="",
        split="lines",
        stages=[StageOrder(program=ProgramSpec(command=command))],
        resources=ResourcesSpec(time_limit=2.5),
        environment=environment,
    )


def run(command: list[str], folder: Path, data: bytes = b"in", width: int = 1, **environment: str) -> Run:
    asked = Task(lease="l", stage=0, index=5, input=data)
    return run_of(order(command, **environment), ProgramSpec(command=command), asked, width, folder)


def test_small_input_goes_along_and_large_input_by_file(tmp_path: Path) -> None:
    assert run(["cat"], tmp_path).stdin == b"in"
    assert run(["cat"], tmp_path, b"x" * 70_000).stdin == "/dc/in/chunk"
    assert (tmp_path / "chunk").stat().st_size == 70_000


def test_only_the_exact_words_are_replaced(tmp_path: Path) -> None:
    found = run(["awk", "{print $1}", "{index}", "--in={input}", "{start}", "{unknown}"], tmp_path)
    assert found.argv == ("awk", "{print $1}", "5", "--in=/dc/in/chunk", "{start}", "{unknown}")
    assert found.stdin is None and found.output == ""
    assert run(["x", "--to={output}"], tmp_path).output == OUTPUT_FILE


def test_programs_are_told_the_width_and_the_jobs_own_variables_win(tmp_path: Path) -> None:
    env = dict(word.split("=", 1) for word in run(["x"], tmp_path, width=4, HOME="/dc/job", GOMAXPROCS="1").env)
    assert {env[name] for name in VARIABLES if name != "GOMAXPROCS"} == {"4"} and env["GOMAXPROCS"] == "1"
    assert env["HOME"] == "/dc/job" and env["PYTHONHASHSEED"] == "0"
    assert run(["x"], tmp_path).limit_ms == 2500


def test_a_warm_process_is_told_of_each_chunks_own(tmp_path: Path) -> None:
    program, asked = ProgramSpec(function="m:f"), Task(lease="l", stage=0, index=5, input=b"in")
    call = run_of(order([], OMP_NUM_THREADS="1"), program, asked, 3, tmp_path).stdin
    assert isinstance(call, bytes)
    told = json.loads(call[4 : 4 + int.from_bytes(call[:4], "little")])["environment"]
    assert (told["DC_INDEX"], told["DC_WIDTH"], told["OMP_NUM_THREADS"]) == ("5", "3", "1")
    assert "NUMBA_NUM_THREADS" not in told, "Numba compiles no more where it changes"


@pytest.mark.parametrize(
    ("size", "width"),
    [
        (Size(0.05, 1, 0), 1),
        (Size(1.5, 1, 0), 2),
        (Size(2.4, 1, 0), 2),
        (Size(8, 1, 0, width=3.5), 4),
        (Size(8, 1, 0, cpuset="1,4-5"), 3),
        (Size(1, 1, 0, cpuset="0-3"), 1),
    ],
)
def test_the_width_is_whole_and_never_more_than_the_cpus_it_is_pinned_to(size: Size, width: int) -> None:
    assert width_of(size) == width


def test_an_end_that_cannot_be_read_is_an_error() -> None:
    assert decode_end(b"-1 9 1 0 2000000 3000000 10").memory_peak == 10240
    for nonsense in (b"", b"1 2", b"a b c d e f g"):
        with pytest.raises(ChannelError):
            decode_end(nonsense)
