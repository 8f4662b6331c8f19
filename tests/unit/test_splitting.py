"""Splitting and manifests: every byte, line, file and number in exactly one chunk, in order."""

import csv
import hashlib
import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.boundaries import line_start, record_start
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec
from server import plan, splitting
from server.manifests import Manifest, pack
from server.store.blobs import DirectoryBlobs
from server.tables import Extent, Label, Table
from server.tables import pack as pack_table


class Memory:
    """A BlobReader over bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def table_of(spec: InputSpec, sizes: list[int]) -> Table:
    """Inputs named 0, 1 … of these sizes, each at some place in an upload of its own."""
    return Table(
        Memory(
            pack_table(
                Extent(f"{n:064x}", size, Label(str(n)), offset=7 * n, chunks=splitting.of_file(spec, size))
                for n, size in enumerate(sizes)
            )
        )
    )


@given(st.lists(st.binary(max_size=12), max_size=60), st.booleans(), st.integers(1, 40))
def test_lines_are_each_read_once_and_whole(lines: list[bytes], last_ends: bool, chunk_size: int) -> None:
    data = b"\n".join(line.replace(b"\n", b"") for line in lines) + (b"\n" if last_ends else b"")
    spec = InputSpec(split="lines", chunk_size=chunk_size)
    reader = Memory(data)
    read = b""
    for index in range(splitting.of_file(spec, len(data))):
        begin, end = splitting.span(spec, index, len(data))
        start, stop = line_start(reader, begin), line_start(reader, end)
        piece = data[start : max(start, stop)]
        assert not piece or start == 0 or data[start - 1 : start] == b"\n"
        assert piece.endswith(b"\n") or start + len(piece) == len(data) or not piece
        read += piece
    assert read == data


_cells = st.text(alphabet='ab,"\n', max_size=6)


@given(st.lists(st.lists(_cells, min_size=2, max_size=2), min_size=1, max_size=12), st.integers(1, 30))
def test_csv_records_are_each_read_once_and_whole(records: list[list[str]], chunk_size: int) -> None:
    """Wherever chunks begin, a record with line ends within quotes is never cut."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(records)
    data = text.getvalue().encode()
    reader = Memory(data)
    read: list[list[str]] = []
    for start in range(0, len(data), chunk_size):
        ends = [
            record_start(reader, at, quoted=data[:at].count(b'"') % 2 == 1) if at < len(data) else len(data)
            for at in (start, start + chunk_size)
        ]
        read += csv.reader(io.StringIO(data[ends[0] : max(ends)].decode(), newline=""))
    assert read == records


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 20))
def test_bytes_of_several_inputs_are_each_read_once_in_order(sizes: list[int], chunk_size: int) -> None:
    spec = InputSpec(split="bytes", chunk_size=chunk_size)
    table = table_of(spec, sizes)
    seen = []
    for index in range(table.chunks if sum(sizes) else 0):
        row, within = table.of_chunk(index)
        seen += [(row.extent.label.name, at) for at in range(*splitting.span(spec, within, row.extent.size))]
    assert seen == [(str(number), at) for number, size in enumerate(sizes) for at in range(size)]
    assert [row.extent.offset for row in table.rows()] == [7 * number for number in range(len(sizes))]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(0, 80), st.integers(0, 80))
def test_a_table_finds_any_bytes(sizes: list[int], start: int, length: int) -> None:
    stop = min(start + length, sum(sizes))
    table = table_of(InputSpec(split="files"), sizes)
    found = [(piece.digest, at) for piece in table.slices(start, stop) for at in range(piece.start, piece.stop)]
    every = [(f"{n:064x}", 7 * n + at) for n, size in enumerate(sizes) for at in range(size)]
    assert (found, table.size) == (every[start:stop], sum(sizes))


@given(st.integers(-50, 50), st.integers(1, 200), st.integers(1, 30))
def test_a_range_is_covered_once(start: int, length: int, per_chunk: int) -> None:
    spec = InputSpec(split="range", start=start, stop=start + length, per_chunk=per_chunk)
    numbers = [n for index in range(splitting.of_numbers(spec)) for n in range(*splitting.numbers(spec, index))]
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
    assert splitting.of_numbers(spec) == 10**9
    assert splitting.numbers(spec, 10**9 - 1) == (10**9 - 1, 10**9)


def test_a_blob_of_several_parts(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    assert blobs.open(blobs.put(b"abc" * 5_000_000)).size == 15_000_000


def test_the_levels_of_a_tree() -> None:
    spec = JobSpec(
        name="x",
        image="i",
        input=InputSpec(split="range", stop=100),
        map=ProgramSpec(command=["cat"]),
        reduce=ReduceSpec(command=["cat"], fan_in=4),
    )
    stages = plan.stages(spec, 100)
    assert [(stage.total, stage.reads) for stage in stages] == [
        (100, None),
        (25, 0),
        (7, 1),
        (2, 2),
        (1, 3),
        (2, 0),
        (1, 5),
    ]
    assert [stage.total for stage in plan.stages(spec, 4)] == [4, 1]
    assert plan.group(spec, stages[2], 6, 25) == (24, 25)
    assert [plan.ready(spec, stages[2], done, 25) for done in (0, 3, 4, 11, 25)] == [0, 0, 1, 2, 7]
    halves = stages[5]
    assert [plan.group(spec, halves, index, 100) for index in (0, 1)] == [(0, 2), (2, 4)]
    assert [plan.ready(spec, halves, done, 100) for done in (0, 1, 2, 3, 4, 100)] == [0, 0, 1, 1, 2, 2]
    assert [plan.ready(spec, stages[6], done, 2) for done in (0, 1, 2)] == [0, 0, 1]
    assert plan.group(spec, stages[6], 0, 2) == (0, 2)
