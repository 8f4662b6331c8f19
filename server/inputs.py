"""What a chunk reads: one stream of bytes, for files and reduce with the names and sizes of its pieces.

Line boundaries are found here, where a chunk is read (protocol.boundaries says how).
"""

from dataclasses import replace
from functools import lru_cache

from dockercomp.protocol.boundaries import line_start, record_start
from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.messages import Fetch, Piece
from dockercomp.protocol.orders import NUMBER_SPLITS, InputSpec, JobSpec
from server import plan, splitting
from server.lifecycle import Chunk
from server.manifests import Manifest, pack
from server.sources import Sources
from server.store import Store
from server.store.blobs import BlobReader
from server.store.connection import Document
from server.store.contents import Chain, Concatenation, Window
from server.tables import Extent, Table


class ChunkInput:
    """An open input. A BlobReader with `pieces` (None where it is plain bytes)."""

    def __init__(self, reader: BlobReader, pieces: list[Piece] | None = None) -> None:
        self._reader = reader
        self.size = reader.size
        self.pieces = pieces

    def read_at(self, offset: int, length: int) -> bytes:
        return self._reader.read_at(offset, max(0, min(length, self.size - offset)))


class Inputs:
    """Opens the inputs of chunks. Keeps only immutable, content-addressed things between calls."""

    def __init__(self, store: Store, sources: Sources | None = None) -> None:
        self._store = store
        self.sources = sources or Sources(store)
        self._pieces = lru_cache(maxsize=2)(self._list_pieces)
        self._sections = lru_cache(maxsize=4)(self._list_sections)
        self._groups = lru_cache(maxsize=64)(self._read_group)

    def open(self, job: Document, spec: JobSpec, chunk: Chunk) -> ChunkInput | None:
        """The chunk's input; None for numbers, which have none. Raises NotFound where something stored is missing."""
        if chunk.stage > 0:
            return self._reduced(job, spec, chunk)
        if spec.input.split in NUMBER_SPLITS:
            return None
        table = self.sources.table(job["inputs"])
        if spec.input.split == "files":
            return self._whole_files(table, *splitting.files(spec.input, chunk.index, len(table)))
        row, within = table.of_chunk(chunk.index)
        return ChunkInput(self._span(spec.input, row.extent, *splitting.span(spec.input, within, row.extent.size)))

    def small(self, job: Document, spec: JobSpec, chunk: Chunk, limit: int) -> ChunkInput | None:
        """The input of a map chunk, where it is stored here and certainly at most `limit` bytes; else None."""
        if chunk.stage > 0 or spec.input.split in NUMBER_SPLITS:
            return None
        table = self.sources.table(job["inputs"])
        if spec.input.split == "files":
            first, last = splitting.files(spec.input, chunk.index, len(table))
            if last - first > _MOST_SMALL or any(row.extent.kind == "url" for row in table.rows(first, last)):
                return None
            if table.row(last - 1).end - _begin(table, first) > limit:
                return None
            return self._whole_files(table, first, last)
        if spec.input.chunk_size > limit // 2:
            return None
        row, within = table.of_chunk(chunk.index)
        if row.extent.kind == "url":
            return None
        start, stop = splitting.span(spec.input, within, row.extent.size)
        # A line that goes on beyond this makes the chunk too large anyway: nobody looks for its end here.
        near = replace(row.extent, size=min(row.extent.size, stop + limit + 1))
        found = ChunkInput(self._span(spec.input, near, start, stop))
        return found if found.size <= limit else None

    def fetches(self, job: Document, spec: JobSpec, chunk: Chunk) -> tuple[list[Fetch], list[Piece] | None] | None:
        """Where a worker reads a map chunk's input itself, and its pieces; None where it gets it from the master."""
        if spec.input.fetch != "workers" or chunk.stage > 0 or spec.input.split in NUMBER_SPLITS:
            return None
        table = self.sources.table(job["inputs"])
        if spec.input.split == "files":
            if spec.input.files_per_chunk > _MOST_SMALL:
                return None
            extents = [row.extent for row in table.rows(*splitting.files(spec.input, chunk.index, len(table)))]
            if any(extent.kind != "url" for extent in extents):
                return None
            pieces = [Piece(name=extent.label.name, size=extent.size) for extent in extents]
            return [_fetch(extent, 0, extent.size, lines=False) for extent in extents], pieces
        row, within = table.of_chunk(chunk.index)
        if row.extent.kind != "url" or spec.input.split == "csv":
            return None
        start, stop = splitting.span(spec.input, within, row.extent.size)
        return [_fetch(row.extent, start, stop, lines=spec.input.split in ("lines", "jsonl"))], None

    def results(self, manifest_digest: str) -> Concatenation:
        """The concatenation of a stage's results."""
        return self.sources.results(manifest_digest)

    # --- map ---------------------------------------------------------------------------------------------------------

    def _whole_files(self, table: Table, first: int, last: int) -> ChunkInput:
        rows = list(table.rows(first, last))
        pieces = [Piece(name=row.extent.label.name, size=row.extent.size) for row in rows]
        if any(row.extent.kind != "stored" for row in rows):
            return ChunkInput(Chain([self.sources.open(row.extent) for row in rows]), pieces)
        begin = _begin(table, first)
        return ChunkInput(Window(self.sources.rows(table), begin, rows[-1].end - begin), pieces)

    def _span(self, spec: InputSpec, extent: Extent, start: int, stop: int) -> BlobReader:
        reader = self.sources.open(extent)
        if spec.split in ("bytes", "records"):
            return Window(reader, start, stop - start)
        if spec.split == "csv":
            return self._rows_of_csv(reader, extent, spec.chunk_size, start, stop)
        begin = line_start(reader, start)
        return Window(reader, begin, max(begin, line_start(reader, stop)) - begin)

    def _rows_of_csv(self, reader: BlobReader, extent: Extent, size: int, start: int, stop: int) -> BlobReader:
        bits = self.sources.stored(extent.label.quotes).read_at if extent.label.quotes else None

        def boundary(at: int) -> int:
            return record_start(reader, at, quoted=bits is not None and _bit(bits(at // size // 8, 1), at // size % 8))

        header = record_start(reader, 1, quoted=reader.read_at(0, 1) == b'"')
        begin = max(header, boundary(start))
        end = max(begin, boundary(stop) if stop < reader.size else reader.size)
        return Chain([Window(reader, 0, header), Window(reader, begin, end - begin)])

    # --- reduce ------------------------------------------------------------------------------------------------------

    def _reduced(self, job: Document, spec: JobSpec, chunk: Chunk) -> ChunkInput:
        if spec.reduce is not None and spec.reduce.fan_in:
            stage = plan.stage_of(job["stages"][str(chunk.stage)])
            assert stage.reads is not None
            below = job["stages"][str(stage.reads)]["total"]
            first, last = plan.group(spec, stage, chunk.index, below)
            manifest = self._groups(job["_id"], stage.reads, first, last, chunk.redone)
            pieces = [Piece(name=f"{first + n:09d}", size=size) for n, size in enumerate(manifest.sizes())]
            return ChunkInput(Concatenation(self._store.payloads, self._store.blobs, manifest), pieces)
        below = job["stages"]["0"]
        if plan.divided(spec):
            sections = self.sources.stored(below["sections"])
            table = self.sources.table(sections.read_at(32 * chunk.index, 32).hex())
            return ChunkInput(self.sources.rows(table), self._sections(sections.read_at(32 * chunk.index, 32).hex()))
        digest = below["manifest"]["digest"]
        return ChunkInput(self.results(digest), self._pieces(digest))

    def _read_group(self, job: str, stage: int, first: int, last: int, redone: int) -> Manifest:
        """What a reducer reads; `redone` tells what it read before from what it reads when it is run anew."""
        manifest = Manifest(pack(self._store.reviews.readable(job, stage, first, last))[0])
        if len(manifest) < last - first:
            raise NotFound(f"of the results {first} to {last - 1} only {len(manifest)} are accepted")
        return manifest

    def _list_pieces(self, manifest_digest: str) -> list[Piece]:
        sizes = self.sources.manifest(manifest_digest).sizes()
        return [Piece(name=f"{number:09d}", size=size) for number, size in enumerate(sizes)]

    def _list_sections(self, digest: str) -> list[Piece]:
        return [Piece(name=row.extent.label.name, size=row.extent.size) for row in self.sources.table(digest).rows()]


_MOST_SMALL = 100
"""Files of a chunk that are looked at to see whether they are small, or named in a lease for workers to fetch."""


def _fetch(extent: Extent, start: int, stop: int, *, lines: bool) -> Fetch:
    label = extent.label
    return Fetch(url=label.url, size=extent.size, etag=label.etag, start=start, stop=stop, lines=lines)


def _begin(table: Table, number: int) -> int:
    """The bytes of all rows before this one."""
    return table.row(number - 1).end if number else 0


def _bit(data: bytes, at: int) -> bool:
    return bool(data and data[0] >> at & 1)
