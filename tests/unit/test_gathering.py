"""Which files become a result, in which order they are asked for, and what is refused."""

import struct

import pytest

from dockercomp.protocol import bundle
from worker import gathering
from worker.gathering import Gathering, NoResult


def offered(files: dict[bytes, int], *patterns: str) -> Gathering:
    found = Gathering(patterns or ("**",), "the working directory")
    for name, size in files.items():
        found.offer(struct.pack("<Q", size) + name)
    return found


def test_files_are_asked_for_in_the_order_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_REQUEST", 8)
    files = offered({b"b": 2, "ä".encode(): 1, b"a/c": 0, b"a.b": 3, b"Z": 1})
    head = files.choose()
    assert [(entry.name, entry.size) for entry in bundle.entries(head)] == [
        ("Z", 1), ("a.b", 3), ("a/c", 0), ("b", 2), ("ä", 1)
    ]  # fmt: skip
    asked = []
    while request := files.request():
        for name in request.split(b"\0")[:-1]:
            asked.append(name)
            files.received(files.offered[name.decode()])
            last = files.ended()
        assert last and len(request) <= 8
    assert asked == [b"Z", b"a.b", b"a/c", b"b", "ä".encode()]


def test_a_file_of_two_patterns_is_there_once() -> None:
    files = offered({b"x.csv": 1, b"y": 1}, "*.csv", "x*")
    assert [entry.name for entry in bundle.entries(files.choose())] == ["x.csv"]


def test_a_file_that_changed_while_it_was_sent_is_no_result() -> None:
    files = offered({b"x": 2})
    files.choose()
    files.request()
    files.received(3)
    with pytest.raises(NoResult, match="x changed while it was collected"):
        files.ended()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no file matches the output 'o/*.txt'; the program left no files in the working directory"),
        ({b"o/x.csv": 1, b"a\xff": 1}, r"there are a\xff, o/x.csv"),
        ({b"%d" % n: 1 for n in range(9)}, "there are 0, 1, 2, 3, 4 and 4 more"),
        ({b"o/\xff.txt": 1}, r"the name of o/\xff.txt is not UTF-8"),
        ({b"o/x.txt": 2**31}, "larger than 1024 MiB"),
        ({b"o/" + b"x" * 5000 + b".txt": 1}, "too long"),
    ],
)
def test_what_is_no_result_is_said(files: dict[bytes, int], said: str) -> None:
    with pytest.raises(NoResult) as error:
        offered(files, "o/*.txt").choose()
    assert said in str(error.value)


def test_there_is_an_end_to_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST_OFFERED", 3)
    with pytest.raises(NoResult, match="more than 3 files"):
        offered({b"%d" % n: 0 for n in range(4)})
