"""Makes the table of a job's inputs: everything that could be wrong with them is found here, before a chunk is made."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from dockercomp.protocol import bundle
from dockercomp.protocol.boundaries import record_start
from dockercomp.protocol.bundle import BadBundle
from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.job_rules import MOST_CHUNKS
from dockercomp.protocol.orders import NUMBER_SPLITS, InputSpec
from dockercomp.protocol.remote import look
from dockercomp.protocol.views import InputFile
from server import splitting
from server.rights import EVERYTHING, Reach
from server.sections import directories
from server.sources import Sources
from server.store import Store
from server.store.blobs import BlobReader, stream
from server.store.connection import Document
from server.store.contents import Window
from server.tables import Extent, Label, pack, parts

_decode = msgspec.json.Decoder(InputFile).decode
_LONGEST_LINE = 64 * 1024
_LONGEST_HEADER = 2**20
_MOST_OF_CSV = 2_000_000
"""Chunks of one csv input: while it is submitted each is looked at."""
_LARGEST = 2**50
"""Bytes of one input: 1 PiB."""


@dataclass(frozen=True)
class Listed:
    """`table` is the digest of the inputs' table, `chunks` how many chunks they make."""

    table: str
    chunks: int


class Listing:
    def __init__(self, store: Store, sources: Sources, *, private_urls: bool = False) -> None:
        self._store = store
        self._sources = sources
        self._private_urls = private_urls
        self._reach = EVERYTHING

    def within(self, reach: Reach) -> "Listing":
        """The same for somebody for whom nothing else exists."""
        found = copy.copy(self)
        found._reach = reach
        return found

    def has(self, digest: str) -> bool:
        """Whether this upload is here, for whom the list is made."""
        return self._store.blobs.has(digest) and self._reach.holds(digest)

    def _job(self, job: str) -> Document | None:
        found = self._store.jobs.by_id(job)
        return found if found is not None and self._reach.sees(found["owner"]) else None

    def waits_for(self, files: Sequence[InputFile]) -> list[str]:
        """Jobs among the inputs whose results are not there yet. Raises InvalidJob where one never will be."""
        waiting = []
        for file in files:
            if not file.job:
                continue
            job = self._job(file.job)
            if job is None or job["state"] in ("failed", "cancelled"):
                state = f"has no result, it is {job['state']}" if job else "does not exist"
                raise InvalidJob(f"the input job:{file.job} {state}")
            if job["state"] == "running":
                waiting.append(file.job)
        return waiting

    def make(self, spec: InputSpec, files: Sequence[InputFile], input_list: str = "") -> Listed:
        """Store the table of these inputs. Raises InvalidJob naming the input and what is wrong with it."""
        counted = self._counted(spec, files, input_list, here=True)
        if counted is None:
            return Listed("", splitting.of_numbers(spec))
        table = self._store.blobs.put_stream(parts(counted))
        return Listed(table, counted.in_all(spec))

    def outlook(self, spec: InputSpec, files: Sequence[InputFile], input_list: str = "") -> tuple[bytes, int]:
        """The table (empty for numbers) and how many chunks it makes, of inputs that need not have been uploaded.
        Raises InvalidJob."""
        counted = self._counted(spec, files, input_list, here=False)
        if counted is None:
            return b"", splitting.of_numbers(spec)
        return pack(counted), counted.in_all(spec)

    def _counted(
        self, spec: InputSpec, files: Sequence[InputFile], input_list: str, *, here: bool
    ) -> "_Counted | None":
        """The extents of all inputs, to be gone through once; None for numbers."""
        if spec.split in NUMBER_SPLITS:
            if files or input_list:
                raise InvalidJob(f"a {spec.split} split reads no input files, but {len(files) or 'a list'} were given")
            return None
        if bool(files) == bool(input_list):
            both = " either as inputs or as a list, not both" if files else ""
            raise InvalidJob(f"a {spec.split} split needs at least one input file{both}")
        given: Iterable[InputFile] = self._read_list(input_list) if input_list else _in_order(spec, files)
        if spec.split == "files":
            given = _placeable(given)
        return _Counted(self._extents(spec, given, here))

    def _read_list(self, digest: str) -> Iterator[InputFile]:
        if not self.has(digest):
            raise InvalidJob("the list of inputs was not uploaded; upload it, then submit again")
        for number, line in enumerate(_lines(self._store.blobs.open(digest)), 1):
            try:
                yield _decode(line)
            except msgspec.DecodeError as error:
                raise InvalidJob(f"the list of inputs, line {number}: {error}") from error

    def _extents(self, spec: InputSpec, files: Iterable[InputFile], here: bool) -> Iterator[Extent]:
        sizes: dict[str, int] = {}
        for file in files:
            if sum((bool(file.digest), bool(file.job), bool(file.url))) != 1:
                raise InvalidJob(f"the input {file.name} must be one of an upload, a job's result and a URL")
            if file.job:
                yield from (self._cut(spec, extent) for extent in self._of_job(file))
            elif file.url:
                yield self._cut(spec, self._of_url(file))
            elif here:
                yield self._cut(spec, self._uploaded(file, sizes))
            else:
                extent = Extent(file.digest, file.size, Label(file.name), file.offset)
                yield replace(extent, chunks=splitting.of_file(spec, file.size))

    def _uploaded(self, file: InputFile, sizes: dict[str, int]) -> Extent:
        if file.digest not in sizes:
            sizes[file.digest] = self._store.blobs.received(file.digest) if self.has(file.digest) else -1
        if not 0 <= file.offset <= file.offset + file.size <= sizes[file.digest]:
            raise InvalidJob(f"the input {file.name} was not uploaded whole; upload it, then submit again")
        return Extent(file.digest, file.size, Label(file.name), file.offset)

    def _of_url(self, file: InputFile) -> Extent:
        found = look(file.url, private=self._private_urls, way_out="; an admin can allow it with DC_PRIVATE_URLS=yes")
        return Extent("", found.size, Label(file.name, file.url, found.etag), kind="url")

    def _of_job(self, file: InputFile) -> Iterator[Extent]:
        """A job's result: plain bytes as one input, or each of its files."""
        job = self._job(file.job)
        if job is None or job["state"] != "completed":
            raise InvalidJob(f"the input job:{file.job} has no result")
        result = job["result"]
        if not result.get("bundled"):
            yield Extent(result["manifest"], result["size"], Label(file.name), kind="results")
            return
        for index, digest, found in directories(self._store, self._sources.manifest(result["manifest"])):
            for entry in found:
                yield Extent(digest, entry.size, Label(f"{file.name}/{index:09d}/{entry.name}"), entry.offset)

    def _cut(self, spec: InputSpec, extent: Extent) -> Extent:
        chunks = splitting.of_file(spec, extent.size)
        if spec.split != "csv" or chunks < 2:
            return replace(extent, chunks=chunks)
        if extent.kind == "url":
            raise InvalidJob(
                f"{extent.label.url}: a csv split must know where quotes begin and end; give it as a file, or use"
                ' split = "lines"'
            )
        if chunks > _MOST_OF_CSV:
            raise InvalidJob(f"{extent.label.name} would be {chunks:,} chunks of csv; choose a larger chunk_size")
        reader = self._sources.open(extent)
        head = Window(reader, 0, min(extent.size, _LONGEST_HEADER + 1))
        if record_start(head, 1, quoted=head.read_at(0, 1) == b'"') > _LONGEST_HEADER:
            raise InvalidJob(
                f"{extent.label.name} has a first line of over {_LONGEST_HEADER >> 20} MiB, which each chunk of a csv"
                " split would begin with: is it csv, with \\n or \\r\\n at the ends of its lines?"
            )
        quotes = self._quotes(reader, spec.chunk_size)
        return replace(extent, chunks=chunks, label=msgspec.structs.replace(extent.label, quotes=quotes))

    def _quotes(self, reader: BlobReader, size: int) -> str:
        """For each chunk whether it begins within quotes, as bits of a blob; empty where none does."""
        bits, quoted = bytearray(), False
        for number, start in enumerate(range(0, reader.size, size)):
            if number % 8 == 0:
                bits.append(0)
            bits[-1] |= quoted << number % 8
            for block in stream(reader, start, min(start + size, reader.size)):
                quoted ^= bool(block.count(b'"') & 1)
        if quoted:
            raise InvalidJob(
                "a csv input ends within quotes: a quote is missing somewhere; mend it, or use another split"
            )
        return self._store.blobs.put(bytes(bits)) if any(bits) else ""


class _Counted:
    """Passes extents on, counting them."""

    def __init__(self, extents: Iterator[Extent]) -> None:
        self._extents = extents
        self.rows = 0
        self.chunks = 0

    def __iter__(self) -> Iterator[Extent]:
        for extent in self._extents:
            if not 0 <= extent.size <= _LARGEST or not 0 <= extent.offset <= _LARGEST:
                raise InvalidJob(f"the input {extent.label.name} claims to have {extent.size} bytes")
            if self.chunks + extent.chunks > MOST_CHUNKS:
                raise InvalidJob("the input makes more than 10^12 chunks; choose a larger chunk_size")
            self.rows, self.chunks = self.rows + 1, self.chunks + extent.chunks
            yield extent

    def in_all(self, spec: InputSpec) -> int:
        """Chunks of all of them. Raises InvalidJob where there are none."""
        chunks = splitting.of_files(spec, self.rows) if spec.split == "files" else self.chunks
        if chunks < 1:
            raise InvalidJob("the input is empty: there is nothing to compute")
        return chunks


def _in_order(spec: InputSpec, files: Sequence[InputFile]) -> list[InputFile]:
    """Files are dealt out in the order of their names; the inputs of other splits keep the order given."""
    return sorted(files, key=lambda file: file.name) if spec.split == "files" else list(files)


def _placeable(files: Iterable[InputFile]) -> Iterator[InputFile]:
    """Files in the order of names whose names can all be given to files of one folder. Raises InvalidJob."""
    before, beginnings = "", list[str]()
    for file in files:
        name = file.name
        try:
            bundle.checked_name(name)
        except BadBundle as error:
            raise InvalidJob(f"an input has a name that cannot be given to a file: {error}") from error
        if name == before:
            raise InvalidJob(f"two inputs have the name {name}")
        if name < before:
            raise InvalidJob(f"the list of inputs is not in the order of names: {name} comes after {before}")
        while beginnings and not name.startswith(beginnings[-1]):
            beginnings.pop()
        folder = next((each for each in beginnings if name[len(each)] == "/"), None)
        if folder is not None:
            raise InvalidJob(f"one input has the name {folder}, of another, {name}, that is a folder")
        beginnings.append(name)
        before = name
        yield file


def _lines(reader: BlobReader) -> Iterator[bytes]:
    rest = b""
    for block in stream(reader):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise InvalidJob(f"the list of inputs has a line of over {_LONGEST_LINE >> 10} KiB: it is one JSON a line")
        yield from lines
    if rest:
        yield rest
