"""Sorting and dividing lines, in memory and through files: the same bytes either way, and as coreutils' sort."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockercomp.protocol import bundle
from dockercomp.protocol.partition import key_of, partition
from worker import shuffle

LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=30)


@pytest.fixture(params=["in memory", "by files"])
def spool(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "by files":
        monkeypatch.setattr(shuffle, "IN_MEMORY", 10)
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def sort(data: bytes | Path, spool: Path, sizes: list[int] | None = None) -> bytes:
    return content(shuffle.sort(data, sizes, spool, lambda: False))


def content(found: bytes | Path) -> bytes:
    if isinstance(found, bytes):
        return found
    data = found.read_bytes()
    found.unlink()
    return data


def sections(data: bytes | Path, partitions: int, spool: Path) -> list[bytes]:
    whole = content(shuffle.divide(data, partitions, spool, lambda: False))
    entries = bundle.entries(whole)
    assert [entry.name for entry in entries] == [str(number) for number in range(partitions)]
    return [whole[entry.offset : entry.offset + entry.size] for entry in entries]


@given(LINES, st.booleans())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_lines_are_sorted_as_by_sort(spool: Path, lines: list[bytes], ended: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    expected = subprocess.run(["sort"], input=data, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"})
    assert sort(data, spool) == expected.stdout
    assert list(spool.iterdir()) == []


def test_lines_of_two_pieces_never_become_one(spool: Path) -> None:
    assert sort(b"bac\nb", spool, [1, 1, 3]) == b"a\nb\nb\nc\n"
    assert sort(b"b\na\n", spool, [2, 0, 2]) == b"a\nb\n"
    assert sort(b"", spool, []) == b""


def test_a_large_file_is_sorted_with_what_is_equal_kept(spool: Path, tmp_path: Path) -> None:
    lines = [b"%d\t1" % (n * 7919 % 1000) for n in range(20_000)]
    source = tmp_path / "in"
    source.write_bytes(b"\n".join(lines))
    assert sort(source, spool) == b"".join(line + b"\n" for line in sorted(lines))
    assert source.exists() and list(spool.iterdir()) == []


@given(LINES)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_line_is_in_the_section_of_its_key_in_its_order(spool: Path, lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    found = sections(data, 3, spool)
    for number, section in enumerate(found):
        assert section == b"".join(line + b"\n" for line in lines if partition(line, 3) == number)
    assert list(spool.iterdir()) == []


def test_a_line_end_of_another_system_is_no_part_of_a_key_but_at_a_lines_end(spool: Path) -> None:
    lines = [b"a\r", b"a\r\tx", b"a\tx", b"a", b"a\r\ty", b"a\t\r"] * 3
    for number, section in enumerate(sections(b"".join(line + b"\n" for line in lines), 5, spool)):
        assert section == b"".join(line + b"\n" for line in lines if partition(line, 5) == number)


def test_keys_end_at_a_tab_and_a_last_line_gets_its_end(spool: Path) -> None:
    found = sections(b"a\t1\nb\r\na\t2\nb", 8, spool)
    assert sorted(filter(None, found)) == [b"a\t1\na\t2\n", b"b\r\nb\n"]
    assert {key_of(line) for line in (b"b\r\n", b"b")} == {b"b"}


def test_it_stops_when_asked_and_leaves_nothing(spool: Path) -> None:
    with pytest.raises(shuffle.Stopped):
        shuffle.sort(b"x\n" * 100, None, spool, lambda: True)
    with pytest.raises(shuffle.Stopped):
        shuffle.divide(b"x\n" * 100, 2, spool, lambda: True)
    assert list(spool.iterdir()) == []


def test_a_sort_that_fails_says_why(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "IN_MEMORY", 1)
    monkeypatch.setattr(shuffle, "_SORT_MEMORY", "nonsense")
    with pytest.raises(OSError, match=r"sort: .*nonsense"):
        shuffle.sort(b"x\ny\n", None, spool, lambda: False)
    assert list(spool.iterdir()) == []
