"""Bundles: what workers may send is read as it is, or refused."""

import struct

import pytest

from dockercomp.protocol import bundle
from dockercomp.protocol.bundle import BadBundle


def directory_of(*entries: tuple[bytes, int]) -> bytes:
    """One that was made by nobody's rules."""
    packed = b"".join(struct.pack("<I", len(name)) + name + struct.pack("<Q", size) for name, size in entries)
    return bundle.MAGIC + struct.pack("<I", len(packed)) + packed


def test_what_was_packed_is_found() -> None:
    packed = bundle.pack([("a", b"1"), ("b/c", b""), ("b/d", b"23")])
    assert [(each.name, packed[each.offset : each.offset + each.size]) for each in bundle.entries(packed)] == [
        ("a", b"1"),
        ("b/c", b""),
        ("b/d", b"23"),
    ]
    assert bundle.entries(bundle.pack([])) == []


@pytest.mark.parametrize(
    "names",
    [
        *([each] for each in (b"..", b"a/../b", b"/a", b"a/", b"a//b", b"./a", b".", b"", b"\xff", b"a\0", b"x" * 256)),
        [b"a", b"a"],
        [b"a", b"a/b"],
        [b"a/b/c", b"a/b"],
    ],
)
def test_names_that_cannot_be_files_of_one_folder(names: list[bytes]) -> None:
    with pytest.raises(BadBundle):
        bundle.entries(directory_of(*((name, 0) for name in names)))


@pytest.mark.parametrize("cut", [1, 4, 9, 12])
def test_a_directory_that_is_cut_off(cut: int) -> None:
    whole = directory_of((b"abc", 7))
    with pytest.raises(BadBundle):
        bundle.entries(whole[:-cut])
    shorter = whole[:4] + struct.pack("<I", len(whole) - 8 - cut) + whole[8:-cut]
    with pytest.raises(BadBundle):
        bundle.entries(shorter)


def test_folders_of_a_path() -> None:
    assert list(bundle.folders_of("a/b/c")) == ["a/b", "a"]
    assert list(bundle.folders_of("a/b/c", {"a"})) == ["a/b"]
    assert list(bundle.folders_of("a")) == []
