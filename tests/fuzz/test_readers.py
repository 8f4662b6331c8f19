"""Readers of others' bytes: whatever the bytes, a documented error or a value, in bounded memory."""

import contextlib
import io
import json
import resource
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from dockercomp import archives
from dockercomp.inside import values
from dockercomp.machine import image_archive
from dockercomp.protocol import bundle, keychain, receipts
from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.orders import VerifySpec
from dockercomp.resultfolder import write_folder
from dockercomp.source import InputError
from server import comparators, manifests, tables
from server.dashboard.preview import preview
from server.plots import raster, reading
from tests.fuzz.conftest import REQUESTS
from worker.channel import Channel, ChannelError, decode_end

MEMORY = 96 * 2**20
"""Of inputs of some KiB: what a header says of sizes is never allocated before the bytes are there."""

_many = settings(
    max_examples=max(100, REQUESTS // 40),
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_NUMBERS = st.sampled_from([0, 1, 2, 7, 8, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])


def mutants(*real: bytes) -> st.SearchStrategy[bytes]:
    """Bytes from nowhere, and real ones cut, flipped, doubled, or with numbers of all sizes in their midst."""

    @st.composite
    def one(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(real)))
        for _ in range(draw(st.integers(0, 4))):
            at = draw(st.integers(0, len(data)))
            change = draw(st.sampled_from(["cut", "flip", "number", "bytes", "double", "drop"]))
            if change == "cut":
                del data[at:]
            elif change == "flip" and at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            elif change == "number":
                packed = draw(st.sampled_from(["<I", "<Q", ">I"]))
                data[at : at + struct.calcsize(packed)] = struct.pack(
                    packed, draw(_NUMBERS) % 2 ** (8 * struct.calcsize(packed))
                )
            elif change == "bytes":
                data[at:at] = draw(st.binary(max_size=12))
            elif change == "double":
                data += data[at:]
            elif change == "drop":
                del data[at : at + draw(st.integers(1, 40))]
        return bytes(data)

    return st.one_of(one(), st.binary(max_size=300))


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    before = _most_memory()
    yield
    assert _most_memory() - before < MEMORY


def _most_memory() -> int:
    """Bytes that this process held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- what they are made of -------------------------------------------------------------------------------------------


def _tar(*members: tuple[str, bytes, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data, kind in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "../x"
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def _zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"a" * 5000)
        archive.writestr("b/c.csv", b"x,y\n1,2\n")
    return target.getvalue()


def _picture(kind: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(target, kind)
    return target.getvalue()


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


_CONFIG = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["x"]}}).encode()
_SAVED = json.dumps([{"Config": "c.json", "Layers": ["l/layer.tar"], "RepoTags": ["x:1"]}]).encode()
_PLAIN = _tar(("a.txt", b"hello", tarfile.REGTYPE), ("d/b", b"", tarfile.SYMTYPE), ("../e", b"x", tarfile.REGTYPE))
_IMAGE = _tar(
    ("manifest.json", _SAVED, tarfile.REGTYPE),
    ("c.json", _CONFIG, tarfile.REGTYPE),
    ("l/layer.tar", _PLAIN, tarfile.REGTYPE),
)
_PACKED_IMAGE = _tar(
    ("manifest.json", _SAVED, tarfile.REGTYPE),
    ("c.json", _CONFIG, tarfile.REGTYPE),
    ("l/layer.tar", _gzip(_PLAIN), tarfile.REGTYPE),
)
_BUNDLE = bundle.pack([("a.txt", b"one"), ("d/b.bin", b"\0\1"), ("e", b"")])
_TABLE = tables.pack(
    [tables.Extent("0" * 64, 9, tables.Label("a")), tables.Extent("1" * 64, 3, tables.Label("b", url="x"))]
)
_ENVELOPE = b'{"format":"dockercomp receipt v1","body":"{}","key":"00","signature":"00"}'
_TAGGED = json.dumps({"!": "bytes", "v": "AAAA"}).encode()
_PICTURES = [_picture(kind) for kind in ("PNG", "GIF", "BMP", "TIFF", "PPM", "JPEG", "WEBP")]
_RESULTS = (
    b"1 2 nan\n3,4\n",
    b'{"a":[1,2.5,null],"b":"x"}\n{"c":1e400}',
    b'h,i\n"1,\n2",3\n',
    b"[" * 3000 + b"]" * 3000,
    *_PICTURES[:3],
    _BUNDLE,
)


# --- the readers -----------------------------------------------------------------------------------------------------


def whole_bundle(data: bytes, _: Path) -> None:
    end = bundle.directory_size(data[: bundle.HEAD])
    found = bundle.entries(data[:end])
    for entry in found:
        assert bundle.checked_name(entry.name) == entry.name and entry.offset >= end
    bundle.size_of(found, end)


def folder(data: bytes, place: Path) -> None:
    target = place / "folder"
    write_folder(target, [data[at : at + 7] for at in range(0, len(data), 7)], ["a.txt", "d/b.bin", "e"])
    assert all(file.resolve().is_relative_to(target.resolve()) for file in target.rglob("*"))


def image(data: bytes, place: Path) -> None:
    (place / "image").write_bytes(data)
    image_archive.archive_pin(place / "image")
    image_archive.unpacked(place / "image", lambda size: None)
    image_archive.retag(place / "image", place / "copy", "ours:1")


def unpacked(name: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, place: Path) -> None:
        (place / name).write_bytes(data)
        for source in archives.unpacked(name, place / name):
            assert not source.name.startswith("/") and ".." not in Path(source.name).parts
            with contextlib.suppress(InputError), source.open() as file:
                while file.read(65_536):
                    pass

    return read


def table(data: bytes, _: Path) -> None:
    class At:
        size = len(data)

        def read_at(self, offset: int, size: int) -> bytes:
            return data[offset : offset + size]

    found = tables.Table(At())
    found.size, found.chunks, found.find("a"), found.slices(0, 10)
    list(found.rows(0, 5))


def manifest(data: bytes, _: Path) -> None:
    found = manifests.Manifest(data)
    found.size, found.sizes(), found.slices(0, 100), found.slices(5, 2**63)


def frames(data: bytes, _: Path) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with contextlib.closing(channel):
        theirs.sendall(data)
        theirs.close()
        while True:
            kind, payload = channel.receive(5.0)
            if kind == b"E":
                decode_end(payload)


def compared(compare: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, _: Path) -> None:
        spec = VerifySpec(compare=compare)  # type: ignore[arg-type]
        for other in _RESULTS:
            for bundled in (False, True):
                equal = comparators.equal(spec, data, other, bundled=bundled)
                assert equal == comparators.equal(spec, other, data, bundled=bundled)
        assert comparators.equal(spec, data, data)

    return read


def receipt(data: bytes, _: Path) -> None:
    receipts.read(receipts.opened(data))


READERS: dict[str, tuple[Callable[[bytes, Path], object], st.SearchStrategy[bytes], tuple[type[Exception], ...]]] = {
    "bundle": (whole_bundle, mutants(_BUNDLE), (bundle.BadBundle,)),
    "result folder": (folder, mutants(_BUNDLE, _BUNDLE * 2), (DockercompError, OSError)),
    "image archive": (image, mutants(_IMAGE, _PACKED_IMAGE), (image_archive.ImageArchiveError,)),
    "tar": (unpacked("x.tar"), mutants(_PLAIN), (InputError,)),
    "tar.gz": (unpacked("x.tgz"), mutants(_gzip(_PLAIN)), (InputError,)),
    "zip": (unpacked("x.zip"), mutants(_zip()), (InputError,)),
    "gz": (unpacked("x.gz"), mutants(_gzip(b"hello" * 99)), (InputError,)),
    "manifest": (manifest, mutants(manifests.pack([("0" * 64, 3), ("1" * 64, 9)])[0]), (struct.error,)),
    "frames": (frames, mutants(b"H\x01\0\0\x002E\x0d\0\0\x000 0 0 0 1 2 3O\x02\0\0\0hi"), (ChannelError,)),
    "values of Python": (lambda data, _: values.decode(data), mutants(_TAGGED, b'[1,{"a":2}]'), (ValueError,)),
    "a preview": (lambda data, _: preview(data, len(data)), mutants(*_RESULTS), ()),
    "a plot's table": (lambda data, _: reading.read(data), mutants(*_RESULTS), (DockercompError, ValueError)),
    "a picture": (lambda data, _: raster.shown(data), mutants(*_PICTURES), (DockercompError, ValueError)),
    "receipt": (receipt, mutants(_ENVELOPE), (ValueError, DockercompError)),
    "chain of keys": (
        lambda data, _: msgspec.json.decode(data, type=keychain.KeyChain),
        mutants(b'{"key":"00","links":[]}'),
        (msgspec.DecodeError, UnicodeDecodeError),
    ),
    **{
        f"compared as {kind}": (compared(kind), mutants(*_RESULTS), ())
        for kind in ("bytes", "lines", "json", "numbers", "csv", "image")
    },
}


@pytest.mark.parametrize("name", READERS)
def test_odd_bytes(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    read, made, documented = READERS[name]
    base = tmp_path_factory.mktemp("read")
    count = iter(range(10**9))

    @_many
    @given(data=made)
    def each(data: bytes) -> None:
        place = base / str(next(count))
        place.mkdir()
        with contextlib.suppress(*documented):
            read(data, place)

    with bounded():
        each()


def test_every_comparator_is_tried() -> None:
    kinds: Any = next(field.type for field in msgspec.structs.fields(VerifySpec) if field.name == "compare")
    assert {f"compared as {kind}" for kind in get_args(kinds)} <= set(READERS)
