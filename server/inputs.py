"""What a chunk reads: one stream of bytes, for files and reduce with the names and sizes of its pieces.

Line boundaries are found here, where a chunk is read: a chunk of a lines split starts after the first line end at or
before its nominal start, and goes on to the end of the last line that starts within it.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from dockercomp.protocol.messages import Piece
from dockercomp.protocol.orders import JobSpec
from dockercomp.protocol.views import InputFile
from server import splitting
from server.lifecycle import Chunk
from server.manifests import Manifest, pack
from server.store import Store
from server.store.blobs import BlobReader
from server.store.connection import Document
from server.store.contents import Concatenation, read_all

_SCAN = 64 * 1024

_decode_inputs = msgspec.json.Decoder(list[InputFile]).decode


class ChunkInput:
    """An open input. A BlobReader with `pieces` (None where it is plain bytes)."""

    def __init__(self, reader: BlobReader, start: int, stop: int, pieces: list[Piece] | None = None) -> None:
        self._reader = reader
        self._start = start
        self.size = stop - start
        self.pieces = pieces

    def read_at(self, offset: int, length: int) -> bytes:
        return self._reader.read_at(self._start + offset, max(0, min(length, self.size - offset)))


class Inputs:
    """Opens the inputs of chunks. Keeps only immutable, content-addressed things between calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files = lru_cache(maxsize=64)(self._read_files)
        self._manifest = lru_cache(maxsize=8)(self._read_manifest)
        self._pieces = lru_cache(maxsize=2)(self._list_pieces)

    def open(self, job: Document, spec: JobSpec, chunk: Chunk) -> ChunkInput | None:
        """The chunk's input; None for a range, which has none. Raises NotFound where a blob is missing."""
        if chunk.stage == 1:
            return self._results(job["stages"][0]["manifest"]["digest"])
        if spec.input.split == "range":
            return None
        files = self._files(job["inputs"])
        if spec.input.split == "files":
            return self._whole_files(splitting.files(spec.input, files, chunk.index))
        return self._span(spec, splitting.span(spec.input, files, chunk.index))

    def results(self, manifest_digest: str) -> Concatenation:
        """The concatenation of a stage's results."""
        return Concatenation(self._store.payloads, self._store.blobs, self._manifest(manifest_digest))

    def _results(self, manifest_digest: str) -> ChunkInput:
        return ChunkInput(
            self.results(manifest_digest), 0, self._manifest(manifest_digest).size, self._pieces(manifest_digest)
        )

    def _list_pieces(self, manifest_digest: str) -> list[Piece]:
        sizes = self._manifest(manifest_digest).sizes()
        return [Piece(name=f"{number:09d}", size=size) for number, size in enumerate(sizes)]

    def _whole_files(self, files: Sequence[InputFile]) -> ChunkInput:
        packed, size = pack((file.digest, file.size) for file in files)
        reader = Concatenation(self._store.payloads, self._store.blobs, Manifest(packed))
        return ChunkInput(reader, 0, size, [Piece(name=file.name, size=file.size) for file in files])

    def _span(self, spec: JobSpec, span: splitting.Span) -> ChunkInput:
        reader = self._store.blobs.open(span.file.digest)
        if spec.input.split != "lines":
            return ChunkInput(reader, span.start, span.stop)
        start = line_start(reader, span.start)
        return ChunkInput(reader, start, max(start, line_start(reader, span.stop)))

    def _read_files(self, digest: str) -> list[InputFile]:
        return _decode_inputs(read_all(self._store.blobs.open(digest)))

    def _read_manifest(self, digest: str) -> Manifest:
        return Manifest(read_all(self._store.blobs.open(digest)))


def line_start(reader: BlobReader, at: int) -> int:
    """The first byte at or after `at` where a line starts; the blob's size where none does."""
    if at <= 0:
        return 0
    at -= 1  # a line starts at `at` itself if the byte before it ends one
    while at < reader.size:
        block = reader.read_at(at, _SCAN)
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(block)
    return reader.size
