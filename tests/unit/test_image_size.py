"""What an image takes once unpacked, counted without unpacking it: archives come from strangers."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
from pathlib import Path

import pytest

from dockercomp.machine.image_archive import ImageArchiveError, unpacked
from tests.unit.test_image_archive import CONFIG, HEX, a_file, manifest_of

BLOCK = 4096


def a_layer(**files: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, size in files.items():
            member, content = a_file(name, bytes(size))
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def archive(tmp_path: Path, layer: bytes) -> Path:
    path = tmp_path / "image.tar"
    manifest = manifest_of(f"{HEX}.json", "layer")
    with tarfile.open(path, "w") as tar:
        for member, content in (
            a_file(f"{HEX}.json", CONFIG),
            a_file("layer", layer),
            a_file("manifest.json", manifest),
        ):
            tar.addfile(member, io.BytesIO(content))
    return path


def size(path: Path) -> int:
    return unpacked(path, lambda _: None)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_count_in_whole_blocks(tmp_path: Path, pack) -> None:
    path = archive(tmp_path, pack(a_layer(a=1, b=BLOCK, c=BLOCK + 1, d=0)))
    assert size(path) == (1 + 1 + 2 + 0) * BLOCK + 4 * BLOCK


def test_many_empty_files_count_too(tmp_path: Path) -> None:
    layer = gzip.compress(a_layer(**{f"f{number}": 0 for number in range(3000)}))
    assert len(layer) < 200_000 and size(archive(tmp_path, layer)) == 3000 * BLOCK


def test_a_bomb_is_left_as_soon_as_it_is_too_much(tmp_path: Path) -> None:
    path = archive(tmp_path, gzip.compress(a_layer(first=10 * 2**20, second=10 * 2**20)))
    seen: list[int] = []

    def grow(more: int) -> None:
        seen.append(more)
        if sum(seen) > 2**20:
            raise OSError("too much")

    with pytest.raises(OSError, match="too much"):
        unpacked(path, grow)
    assert len(seen) == 1


def test_a_sparse_file_counts_as_long_as_it_says_it_is(tmp_path: Path) -> None:
    """An engine writes its holes as zeros."""
    member = tarfile.TarInfo("holes")
    member.size = 512
    member.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "holes",
        "GNU.sparse.size": str(2**40),
        "GNU.sparse.numblocks": "1",
        "GNU.sparse.map": "0,512",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(bytes(512)))
    assert size(archive(tmp_path, buffer.getvalue())) >= 2**40


@pytest.mark.parametrize(("pack", "name"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_other_compressions_are_refused_by_name(tmp_path: Path, pack, name: str) -> None:
    with pytest.raises(ImageArchiveError, match=name):
        size(archive(tmp_path, pack(a_layer(a=1))))


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_layer_is_an_error_of_ours_or_still_counted(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    layer = bytearray(gzip.compress(a_layer(a=5000, b=70_000) + chance.randbytes(2000)))
    for _ in range(chance.randint(1, 4)):
        layer[chance.randrange(len(layer))] = chance.randrange(256)
    if chance.random() < 0.3:
        del layer[chance.randrange(len(layer)) :]
    try:
        assert size(archive(tmp_path, bytes(layer))) >= 0
    except ImageArchiveError as error:
        assert str(error)
