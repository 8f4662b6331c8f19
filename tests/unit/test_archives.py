"""Compressed inputs and archives: what comes out of good ones, and what is said of bad ones."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dockercomp import archives
from dockercomp.inputs import InputError, collect
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec

NAMES = ["day 1/a #1.txt", "day 1/ü/日本.json", "z"]
TEXTS = {name: f"text of {name}\n".encode() * 50 for name in NAMES}
LARGE = b"".join(b"%d\n" % number for number in range(400_000))  # more than travels in a pack


def spec(**changes: object) -> JobSpec:
    given = InputSpec(**{"split": "lines", **changes})  # type: ignore[arg-type]
    return JobSpec(name="x", image="i", input=given, map=ProgramSpec(command=["cat"]))


def sent(path: Path, **changes: object) -> dict[str, bytes]:
    """What the master would have of the inputs of `path`."""
    uploads: dict[str, bytes] = {}
    with collect(spec(**changes), [path]) as found:
        found.ask(lambda digests: digests)
        found.send(lambda digest, size, file: uploads.update({digest: file.read(size)}))
        return {each.name: uploads[each.digest][each.offset : each.offset + each.size] for each in found}


def complaint(path: Path, **changes: object) -> str:
    with pytest.raises(InputError) as caught:
        sent(path, **changes)
    return str(caught.value)


def zipped(path: Path, members: dict[str, bytes] = TEXTS) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes] = TEXTS, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def renamed(path: Path, old: bytes, new: bytes) -> Path:
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def flipped(path: Path, at: int) -> Path:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("days.zip", zipped),
        ("days.tar", tarred),
        ("days.TGZ", lambda path: tarred(path, mode="w:gz")),
        ("days.tar.bz2", lambda path: tarred(path, mode="w:bz2")),
        ("days.tar.xz", lambda path: tarred(path, mode="w:xz")),
    ],
)
def test_an_archive_stands_for_its_members(tmp_path: Path, name: str, make: Callable[[Path], Path]) -> None:
    expected = {f"days/{name}": data for name, data in TEXTS.items()}
    assert sent(make(tmp_path / name)) == expected
    assert sent(tmp_path / name, split="files", unpack=True) == expected
    assert list(sent(tmp_path / name, split="files")) == [name]


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
@pytest.mark.parametrize("data", [b"a b\n", LARGE], ids=["small", "large"])
def test_a_compressed_file_is_one_input_without_its_suffix(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes], data: bytes
) -> None:
    path = tmp_path / f"words.txt.{suffix}"
    path.write_bytes(compress(data))
    assert sent(path) == {"words.txt": data}
    assert sent(path, unpack=False) == {path.name: path.read_bytes()}


@pytest.mark.parametrize("make", [zipped, lambda path, members: tarred(path, members, "w:gz")])
def test_large_members_compressed_members_and_folders_of_archives(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    name = "a.zip" if make is zipped else "a.tar.gz"
    make(tmp_path / "in" / "sub" / name, {"big": LARGE, "b.json.gz": gzip.compress(b"{}"), ".DS_Store": b"x", "e": b""})
    (tmp_path / "in" / "plain").write_bytes(b"1")
    assert sent(tmp_path / "in") == {"plain": b"1", "sub/a/big": LARGE, "sub/a/b.json": b"{}", "sub/a/e": b""}


def test_include_chooses_members_and_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "in" / "a.zip", {"x.csv": b"1", "sub/y.csv": b"2", "README": b"3"})
    (tmp_path / "in" / "z.csv").write_text("4")
    (tmp_path / "in" / "notes.md").write_text("5")
    found = {"a/sub/y.csv": b"2", "a/x.csv": b"1", "z.csv": b"4"}
    assert sent(tmp_path / "in", include=["*.csv"]) == found
    assert sent(tmp_path / "in", include=["**/*.csv"]) == found
    assert sent(tmp_path / "in" / "a.zip", include=["sub/*"]) == {"a/sub/y.csv": b"2"}
    assert "no file of" in complaint(tmp_path / "in", include=["*.tsv"])
    assert "a.zip holds no file that matches include = ['*.tsv']" in complaint(
        tmp_path / "in" / "a.zip", include=["*.tsv"]
    )


# --- bad ones --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: flipped(zipped(path / "a.zip", {"x.txt": TEXTS["z"]}), 40), "a.zip, member x.txt, is damaged"),
        (
            lambda path: flipped(tarred(path / "a.tar.gz", mode="w:gz"), 100),
            "a.tar.gz is no tar archive, or is damaged",
        ),
        (lambda path: flipped(tarred(path / "a.tar"), 2048), "a.tar, beyond what was read so far, is damaged"),
        (lambda path: cut(tarred(path / "a.tar"), 2048), "is damaged (at byte 2,048: empty header)"),
        (lambda path: cut(tarred(path / "a.tar"), 2300), "is damaged (at byte 2,048: truncated header)"),
        (lambda path: cut(tarred(path / "a.tar"), 1000), "a.tar, member day 1/a #1.txt, is damaged"),
        (lambda path: cut(tarred(path / "a.tgz", mode="w:gz"), -4), "a.tgz is damaged (it ends in the middle)"),
        (lambda path: flipped(tarred(path / "a.tgz", mode="w:gz"), -8), "a.tgz is damaged (CRC check failed"),
        (lambda path: cut(zipped(path / "a.zip"), -30), "a.zip is damaged (File is not a zip file)"),
        (lambda path: write(path / "a.tar", b"no archive"), "a.tar is no tar archive"),
        (lambda path: write(path / "a.gz", b"plain"), "a.gz is damaged (Not a gzipped file"),
        (lambda path: write(path / "a.bz2", b"plain"), "a.bz2 is damaged (Invalid data stream)"),
        (lambda path: write(path / "a.xz", lzma.compress(LARGE)[:-9]), "a.xz is damaged"),
        (lambda path: write(path / "a.csv.zst", b"x"), "a.csv.zst cannot be unpacked here"),
        (lambda path: zipped(path / "a.zip", {"b.tar.gz": b"x"}), "member b.tar.gz, is an archive within an archive"),
        (lambda path: zipped(path / "a.zip", {"../up": b"x"}), "a.zip holds a member named '../up'"),
        (lambda path: renamed(zipped(path / "a.zip", {"Q": b"x"}), b"Q", b"\0"), "a.zip holds a member named ''"),
        (lambda path: tarred(path / "a.tar", {"/etc/passwd": b"x"}), "a.tar holds a member named '/etc/passwd'"),
        (lambda path: linked(path / "a.tar"), "a.tar, member there, is a link or a device"),
        (lambda path: encrypted(path / "a.zip"), "a.zip, member x, is encrypted; unpack it with its password"),
        (lambda path: zipped(path / "a.zip", {"d/": b""}), "a.zip holds no file"),
    ],
)
def test_what_cannot_be_unpacked_is_named_and_nothing_is_sent(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    assert words in complaint(make(tmp_path))


def test_what_cannot_be_unpacked_may_be_left_out(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x": b"1", "b.tar": b"2"})
    assert sent(path, include=["x"]) == {"a/x": b"1"}


_ZEROS = {"x": b"\0" * 30_000_000}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: write(path / "a.bz2", bz2.compress(_ZEROS["x"])),
        lambda path: write(path / "a.xz", lzma.compress(_ZEROS["x"])),
        lambda path: write(path / "a.gz", gzip.compress(_ZEROS["x"], 9)),
        lambda path: zipped(path / "a.zip", _ZEROS),
        lambda path: tarred(path / "a.tar.xz", _ZEROS, "w:xz"),
    ],
)
def test_what_swells_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    monkeypatch.setattr(archives, "SMALL", 40_000_000)
    assert len(next(iter(sent(path).values()))) == 30_000_000
    monkeypatch.setattr(archives, "SMALL", 1_000_000)
    assert "more than 1000 times its size" in complaint(path)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def cut(path: Path, size: int) -> Path:
    return write(path, path.read_bytes()[:size])


def linked(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("there")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    return path


def encrypted(path: Path) -> Path:
    """A zip whose headers say that its member is encrypted."""
    data = zipped(path, {"x": b"1"}).read_bytes()
    data = data.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0").replace(
        b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"
    )
    return write(path, data)
