"""What INPUTs stand for, how small ones travel together, and what is said of one that changes meanwhile."""

import hashlib
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from dockercomp import packs
from dockercomp.inputs import Collected, InputError, collect
from dockercomp.protocol.errors import ChecksumMismatch
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec
from dockercomp.protocol.views import InputFile


def spec(**changes: object) -> JobSpec:
    given = InputSpec(**{"split": "lines", **changes})  # type: ignore[arg-type]
    return JobSpec(name="x", image="i", input=given, map=ProgramSpec(command=["cat"]))


class Far:
    """A master's uploads."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.before: Callable[[], None] = lambda: None

    def missing(self, digests: list[str]) -> list[str]:
        return [digest for digest in digests if digest not in self.blobs]

    def upload(self, digest: str, size: int, file: IO[bytes]) -> None:
        self.before()
        data = file.read(size)
        if hashlib.sha256(data).hexdigest() != digest:
            raise ChecksumMismatch("the whole differs")
        self.blobs[digest] = data

    def take(self, found: Collected) -> tuple[int, int]:
        unsent = found.ask(self.missing)  # type: ignore[arg-type]
        found.send(self.upload)
        return unsent

    def content(self, found: Collected) -> dict[str, bytes]:
        return {each.name: self.blobs[each.digest][each.offset : each.offset + each.size] for each in found}


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.txt", "a/b.txt", "a-b.txt", "a/c/d e#.txt", "z/ü.txt"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "tree"


def names(found: Collected) -> list[str]:
    with found:
        return [each.name for each in found]


def test_files_of_a_folder_come_in_the_order_of_their_paths(tree: Path) -> None:
    expected = ["a-b.txt", "a.txt", "a/b.txt", "a/c/d e#.txt", "z/ü.txt"]
    assert names(collect(spec(), [tree])) == expected
    assert names(collect(spec(split="files"), [tree / "z", tree / "a.txt"])) == ["a.txt", "ü.txt"]


def test_a_pattern_that_the_shell_left_alone(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(collect(spec(split="files"), [f"{tree}/*.txt"])) == ["a-b.txt", "a.txt"]
    assert names(collect(spec(split="files"), [f"{tree}/**/*.txt"])) == [
        "a-b.txt", "a.txt", "a/b.txt", "a/c/d e#.txt", "z/ü.txt",
    ]  # fmt: skip
    monkeypatch.chdir(tree)
    assert names(collect(spec(split="files"), ["*/*.txt"])) == ["a/b.txt", "z/ü.txt"]
    (tree / "[x]").write_text("1")
    assert names(collect(spec(split="files"), ["[x]"])) == ["[x]"]
    with pytest.raises(InputError, match=r"no file matches .*\*\.csv"):
        collect(spec(), [f"{tree}/*.csv"])


def test_urls_and_results_of_jobs_are_not_sent_from_here(tree: Path, far: Far) -> None:
    given = ["https://data.example/a/my%20file.csv?v=1#top", "job:j17", "http://data.example", tree / "a.txt"]
    with collect(spec(), given) as found:
        far.take(found)
        *elsewhere, last = found
    assert elsewhere == [
        InputFile(name="my file.csv", url="https://data.example/a/my%20file.csv?v=1#top"),
        InputFile(name="j17", job="j17"),
        InputFile(name="data.example", url="http://data.example"),
    ]
    assert (last.name, far.blobs[last.digest]) == ("a.txt", b"a.txt")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("https://", "names no host"),
        ("https://data.example/x.csv.gz", "is compressed, and is not unpacked where it is read"),
    ],
)
def test_urls_that_cannot_be_inputs(given: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        collect(spec(), [given])


def test_a_name_twice_matters_to_a_files_split_only(tree: Path) -> None:
    (tree / "z" / "b.txt").write_text("z")
    given = [tree / "a" / "b.txt", tree / "z" / "b.txt"]
    assert names(collect(spec(), given)) == ["b.txt", "b.txt"]
    with pytest.raises(InputError, match=r"a/b.txt and .*z/b.txt would both be named b.txt"):
        collect(spec(split="files"), given)


def test_small_inputs_travel_together_and_large_ones_alone(
    tmp_path: Path, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "SMALL", 100)
    monkeypatch.setattr(packs, "PACK", 250)
    monkeypatch.setattr(packs, "MOST_PACKED", 4)
    sizes = {"a": 99, "b": 99, "c": 99, "d": 100, "e": 5000, "f": 0, "g": 0, "h": 1, "i": 2, "j": 3, "k": 0}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    with collect(spec(split="files"), [tmp_path]) as found:
        assert far.take(found) == (11, sum(sizes.values()))
        assert far.content(found) == {name: (tmp_path / name).read_bytes() for name in sizes}
        assert sorted(map(len, far.blobs.values())) == [3, 3, 99, 100, 198, 5000]


def test_what_the_master_has_is_not_read_again(tree: Path, far: Far) -> None:
    with collect(spec(), [tree]) as found:
        far.take(found)
    with collect(spec(), [tree]) as found:
        (tree / "a.txt").write_text("changed since")
        assert far.take(found) == (0, 0)


@pytest.mark.parametrize("size", [10, 3 * 2**20], ids=["small", "large"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), "in.txt changed while it was being sent"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "in.txt changed while it was being sent"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "in.txt changed while it was being sent"),
        (lambda path: path.unlink(), "(in.txt|z.txt) came or went while the inputs were being sent"),
        (lambda path: path.with_name("b.txt").write_text("new"), "b.txt came or went while the inputs were being sent"),
    ],
)
def test_an_input_that_changes_while_it_is_sent_is_named(
    tmp_path: Path, far: Far, size: int, change: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(os.urandom(size))
    (tmp_path / "z.txt").write_text("another")
    with collect(spec(), [tmp_path]) as found:
        change(path)
        with pytest.raises(InputError, match=words):
            far.take(found)


def test_an_input_that_grows_while_its_bytes_are_sent(tmp_path: Path, far: Far) -> None:
    path = tmp_path / "log"
    path.write_bytes(os.urandom(2 * 2**20))

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    far.before = grow
    with collect(spec(), [path]) as found, pytest.raises(InputError, match="log changed while it was being sent"):
        far.take(found)


def test_a_full_temporary_folder_is_named(tree: Path, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dockercomp.inputs.tempfile.TemporaryFile", full)
    with collect(spec(), [tree]) as found, pytest.raises(InputError, match=r"No space left on device\); make room"):
        far.take(found)


def test_many_small_inputs_take_little_memory(tmp_path: Path, far: Far) -> None:
    for folder in range(10):
        (tmp_path / str(folder)).mkdir()
        for number in range(300):
            (tmp_path / str(folder) / f"a rather long name of a small file {number}").write_bytes(b"%d" % number)
    tracemalloc.start()
    try:
        with collect(spec(split="files"), [tmp_path]) as found:
            far.take(found)
            count = sum(1 for _ in found)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 3000
    assert len(far.blobs) == 1
    assert peak < 6 * 2**20
