"""Programs that know nothing of us, in the folders of tests/foreign: their results through master, workers and
containers equal byte for byte what they give on one machine.

All are submitted at once, as the first test asks, and each test waits for its own.
"""

import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockercomp.job import Job, JobFailed
from dockercomp.protocol.errors import DockercompError
from tests.integration.shelf_parts import FOREIGN, JOBS, Shelf, completed, files_in, locally

IMAGE = "dockercomp-test/foreign"
WORDS = [
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "Ünïcode",
    "straße",
    "東京",
    "مرحبا",
    "don't",
    "co-op",
    "zebra",
    "Äpfel",
    "42",
]
NAMES = [
    "plain.txt",
    "with space.txt",
    "#hash & ampersand.txt",
    "日本語/東京.txt",
    "مرحبا.txt",
    "quote'\".txt",
    "$(touch x)`y`.txt",
    "-n",
    "star*?[a].txt",
    "back\\slash.txt",
    "{input} {index}.txt",
    "ünï/cödé/deep.txt",
    "percent%20+.txt",
    "trailing space ",
]


def lines(source: random.Random, number: int) -> Iterator[str]:
    for _ in range(number):
        yield " ".join(source.choices(WORDS, k=source.randint(0, 14)))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the programs read: the same in every run."""
    folder, source = tmp_path_factory.mktemp("data"), random.Random(1)
    text = "\n".join(lines(source, 6000))  # the last line does not end
    (folder / "text.txt").write_text(text, encoding="utf-8")
    (folder / "records.bin").write_bytes(b"".join(struct.pack("<id", n, source.random()) for n in range(5000)))
    rows = ["customer,note,cents\n"]
    for number in range(2000):
        note = source.choice(["plain", '"a, b"', '"two\nlines, ""quoted"""', '""'])
        rows.append(f"c{source.randint(1, 9)},{note},{number}\n")
    (folder / "orders.csv").write_text("".join(rows))
    weblogs = subprocess.run(
        [sys.executable, str(JOBS / "logs" / "weblogs.py"), "3000"], check=True, capture_output=True
    )
    (folder / "web.jsonl").write_bytes(weblogs.stdout)
    for name in NAMES:
        path = folder / "names" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"in {name}\n")
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of tests/foreign, what has to be compiled compiled."""
    folder = tmp_path_factory.mktemp("foreign") / "programs"
    shutil.copytree(FOREIGN, folder)
    count = folder / "compiled" / "count"
    subprocess.run(["gcc", "-O2", "-static", "-o", str(count), f"{count}.c"], check=True)
    return folder


INPUTS = {
    "perl": ["text.txt"],
    "awk": ["text.txt"],
    "shell": ["text.txt"],
    "streaming": ["text.txt"],
    "compiled": ["text.txt"],
    "workdir": ["text.txt", "web.jsonl", "orders.csv"],
    "locale": ["text.txt"],
    "large": [],
    "names": ["names"],
    "reads_twice": ["text.txt"],
    "jq": ["web.jsonl"],
    "processes": ["text.txt"],
    "csv": ["orders.csv"],
    "sweep": [],
    "records": ["records.bin"],
    "stragglers": ["names", "text.txt"],
    "machine": ["text.txt"],
    "crash": [],
    "hang": [],
}


Submitted = Callable[[str], Job]


@pytest.fixture(scope="session")
def submitted(shelf: Shelf, data: Path, programs: Path) -> Submitted:
    """The jobs by the names of their folders; all are submitted before the first is asked for."""
    shelf.need(IMAGE)
    jobs: dict[str, Job] = {}
    refused: dict[str, DockercompError] = {}
    for name, inputs in INPUTS.items():
        try:
            jobs[name] = shelf.client.submit(programs / name, *(data / each for each in inputs))
        except DockercompError as error:
            refused[name] = error

    def job(name: str) -> Job:
        if name in refused:
            raise refused[name]
        return jobs[name]

    return job


def inputs_of(name: str, data: Path) -> list[Path]:
    """Its input files in the order in which they are dealt out."""
    found: list[Path] = []
    for each in (data / name for name in INPUTS[name]):
        found += [path for path in each.rglob("*") if path.is_file()] if each.is_dir() else [each]
    return sorted(found, key=lambda path: str(path.relative_to(data)).removeprefix("names/"))


def alone(program: Path, *inputs: Path, result: Path | None = None) -> bytes:
    """What its local.sh gives: how a scientist runs it on one machine."""
    return locally(IMAGE, program, (program / "local.sh").read_text(), *inputs, result=result)


@pytest.mark.parametrize(
    "name",
    [
        "perl",
        "awk",
        "shell",
        "compiled",
        "locale",
        "large",
        "names",
        "streaming",
        "stragglers",
        "reads_twice",
        "jq",
        "processes",
        "csv",
        "sweep",
        "records",
        "machine",
    ],
)
def test_a_foreign_program_gives_the_same_bytes(name: str, submitted: Submitted, data: Path, programs: Path) -> None:
    expected = alone(programs / name, *inputs_of(name, data))
    found = completed(submitted(name)).result()
    assert found == expected
    assert found


def test_a_program_that_writes_where_it_stands(
    submitted: Submitted, data: Path, programs: Path, tmp_path: Path
) -> None:
    """Each chunk finds the folder as it was submitted; what it leaves there and is no result goes."""
    alone(programs / "workdir", *inputs_of("workdir", data), result=tmp_path / "alone")
    assert files_in(completed(submitted("workdir")).save(tmp_path / "found")) == files_in(tmp_path / "alone")


def test_a_program_that_crashes_on_one_chunk(submitted: Submitted) -> None:
    """The others complete; the scientist is told which input failed, how, and what to do."""
    job = submitted("crash")
    with pytest.raises(JobFailed) as told:
        job.wait(timeout=240)
    view = told.value.view
    assert (view.stages[0].accepted, view.missing_count) == (7, 1)
    assert "1 of 8 chunks failed" in view.error and f"dockercomp retry {job.id}" in view.error
    (chunk,) = job.chunks(state="failed")
    assert chunk.index == 5
    for run in chunk.replicas:
        assert "signal 11" in run.failure
        assert run.log_head == "about to touch a null pointer\n"


def test_a_program_that_hangs_on_one_chunk(submitted: Submitted) -> None:
    job = submitted("hang")
    with pytest.raises(JobFailed) as told:
        job.wait(timeout=240)
    assert (told.value.view.stages[0].accepted, told.value.view.missing_count) == (3, 1)
    (chunk,) = job.chunks(state="failed")
    assert chunk.index == 2
    assert "2 s" in chunk.error
    assert {run.log_head for run in chunk.replicas if run.failure} == {"waiting for a lock\n"}, chunk.replicas
