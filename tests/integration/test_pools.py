"""Pools of threads and of processes in real containers: they follow a resize in mid-run, and the result is the same."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import MIB, Hearing, Start, order_of, payload, sh, task
from worker import cpu_list, inside
from worker.container import WarmContainer
from worker.tasks import Size

HERE = Path(__file__).with_name("pools")
INSIDE = Path(inside.__file__).parent
WIDTHS = (3, 1, 4, 2)


def size(width: float) -> Size:
    return Size(cpus=1.0, memory=128 * MIB, scratch=16 * MIB, width=width)


def resizing(container: WarmContainer) -> Hearing:
    """Gives the container the next width whenever its program says a word."""
    widths: Iterator[int] = iter(WIDTHS)
    return Hearing(lambda: container.resize(size(next(widths))))


@pytest.fixture
def follower(program: Path, request: pytest.FixtureRequest) -> list[str]:
    """The command of a program in the language asked for."""
    if request.param == "python":
        (program / "follow.py").write_bytes((HERE / "follow.py").read_bytes())
        return ["python3", "follow.py"]
    flags = ["-std=c99", "-O1", "-static", "-pthread", "-I", str(INSIDE)]
    subprocess.run(["gcc", *flags, "-o", str(program / "follow"), str(HERE / "follow.c")], check=True)
    return ["./follow"]


@pytest.mark.parametrize("follower", ["c", "python"], indirect=True)
def test_a_pool_follows_while_it_works_and_the_result_is_the_same(
    start: Start, program: Path, follower: list[str]
) -> None:
    resized = start(order_of(ProgramSpec(command=[*follower, *map(str, WIDTHS)]), time_limit=300), program, size(1))
    result = payload(resized.run(task(), resizing(resized)))
    resized.stop()
    left_alone = start(order_of(ProgramSpec(command=follower), time_limit=300), program, size(2))
    assert result and result == payload(left_alone.run(task()))


def test_a_warm_container_tells_the_next_program_its_width_of_now(start: Start) -> None:
    container = start(sh("echo $DC_WIDTH $OMP_NUM_THREADS $RAYON_NUM_THREADS"), None, size(2))
    assert payload(container.run(task())) == b"2 2 2\n"
    container.resize(size(5))
    assert payload(container.run(task())) == b"5 5 5\n"


def test_a_warm_function_too(start: Start, program: Path) -> None:
    (program / "work.py").write_text("import os\ndef go(data):\n    return os.environ['DC_WIDTH']\n")
    container = start(order_of(ProgramSpec(function="work:go")), program, size(2))
    assert payload(container.run(task())) == b"2"
    container.resize(size(5))
    assert payload(container.run(task())) == b"5"


def test_a_process_that_ran_out_of_memory_is_an_error_and_no_hang(start: Start, program: Path) -> None:
    (program / "work.py").write_text(
        "from dockercomp_pool import Pool\n"
        "def fill(n): return len(bytearray(2**30)) if n == 3 else n\n"
        "def go(data): return str(Pool().map(fill, range(8)))\n"
    )
    outcome = start(order_of(ProgramSpec(function="work:go")), program, size(2)).run(task(b"in"))
    assert outcome.failure is not None and outcome.failure.reason == "memory"


PINNED = "import os\nprint(len(os.sched_getaffinity(0)), os.environ['DC_WIDTH'])\n"


def test_an_unmodified_program_sees_the_cpus_that_it_is_pinned_to(start: Start) -> None:
    mine = sorted(cpu_list.online())
    if len(mine) < 2:
        pytest.skip("this machine has one CPU")
    one, two = str(mine[0]), cpu_list.written(mine[:2])
    container = start(order_of(ProgramSpec(command=["python3", "-c", PINNED])), None, replace(size(2), cpuset=one))
    assert payload(container.run(task())) == b"1 1\n"
    container.resize(replace(size(2), cpuset=two))
    assert payload(container.run(task())) == b"2 2\n"


@pytest.mark.parametrize("follower", ["c", "python"], indirect=True)
def test_a_width_beyond_what_the_container_allows_is_no_error(start: Start, program: Path, follower: list[str]) -> None:
    few = start(order_of(ProgramSpec(command=follower), time_limit=300), program, size(2))
    expected = payload(few.run(task()))
    few.stop()
    beyond = Size(cpus=2.0, memory=1024 * MIB, scratch=16 * MIB, width=1000)
    assert (
        payload(start(order_of(ProgramSpec(command=follower), time_limit=300), program, beyond).run(task())) == expected
    )
