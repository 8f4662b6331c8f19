"""Splitting and manifests: every byte, line, file and number in exactly one chunk, in order."""

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.orders import InputSpec
from dockercomp.protocol.views import InputFile
from server import splitting
from server.inputs import line_start
from server.manifests import Manifest, pack
from server.store.blobs import DirectoryBlobs


def file_of(size: int, name: str = "x") -> InputFile:
    return InputFile(name=name, digest="0" * 64, size=size)


class Memory:
    """A BlobReader over bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


@given(st.lists(st.binary(max_size=12), max_size=60), st.booleans(), st.integers(1, 40))
def test_lines_are_each_read_once_and_whole(lines: list[bytes], last_ends: bool, chunk_size: int) -> None:
    data = b"\n".join(line.replace(b"\n", b"") for line in lines) + (b"\n" if last_ends else b"")
    spec = InputSpec(split="lines", chunk_size=chunk_size)
    reader = Memory(data)
    read = b""
    for index in range(splitting.count(spec, [file_of(len(data))])):
        span = splitting.span(spec, [file_of(len(data))], index)
        start, stop = line_start(reader, span.start), line_start(reader, span.stop)
        piece = data[start : max(start, stop)]
        assert not piece or start == 0 or data[start - 1 : start] == b"\n"
        assert piece.endswith(b"\n") or start + len(piece) == len(data) or not piece
        read += piece
    assert read == data


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 20))
def test_bytes_of_several_inputs_are_each_read_once_in_order(sizes: list[int], chunk_size: int) -> None:
    spec = InputSpec(split="bytes", chunk_size=chunk_size)
    inputs = [file_of(size, str(number)) for number, size in enumerate(sizes)]
    seen = []
    for index in range(splitting.count(spec, inputs)):
        span = splitting.span(spec, inputs, index)
        seen += [(span.file.name, at) for at in range(span.start, span.stop)]
    assert seen == [(file.name, at) for file in inputs for at in range(file.size)]


@given(st.integers(-50, 50), st.integers(1, 200), st.integers(1, 30))
def test_a_range_is_covered_once(start: int, length: int, per_chunk: int) -> None:
    spec = InputSpec(split="range", start=start, stop=start + length, per_chunk=per_chunk)
    numbers = [n for index in range(splitting.count(spec, [])) for n in range(*splitting.numbers(spec, index))]
    assert numbers == list(range(start, start + length))


@given(st.lists(st.binary(max_size=9), max_size=20), st.integers(0, 60), st.integers(0, 60))
def test_a_manifest_finds_any_bytes(results: list[bytes], start: int, length: int) -> None:
    packed, size = pack((hashlib.sha256(data).hexdigest(), len(data)) for data in results)
    by_digest = {hashlib.sha256(data).hexdigest(): data for data in results}
    whole = b"".join(results)
    manifest = Manifest(packed)
    assert (manifest.size, size, manifest.sizes()) == (len(whole), len(whole), [len(data) for data in results])
    stop = min(start + length, len(whole))
    found = b"".join(by_digest[s.digest][s.start : s.stop] for s in manifest.slices(start, stop))
    assert found == whole[start:stop]


def test_a_billion_chunks_cost_nothing_to_count() -> None:
    spec = InputSpec(split="range", start=0, stop=10**9, per_chunk=1)
    assert splitting.count(spec, []) == 10**9
    assert splitting.numbers(spec, 10**9 - 1) == (10**9 - 1, 10**9)


def test_a_blob_of_several_parts(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    assert blobs.open(blobs.put(b"abc" * 5_000_000)).size == 15_000_000
