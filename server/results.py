"""What a job has given: its result, the files in it, and, while it runs, the results accepted so far."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dockercomp.protocol.bundle import BadBundle, Entry
from dockercomp.protocol.errors import BadRequest, Conflict, NotFound
from dockercomp.protocol.views import ResultFile, ResultFiles
from server.lifecycle import Chunk, chunk_id
from server.manifests import Manifest, pack
from server.result_files import below
from server.running import last_stage
from server.sections import directories
from server.sources import Sources
from server.store import Store
from server.store.blobs import BlobReader
from server.store.connection import Document
from server.store.contents import Concatenation, Window

MOST_SO_FAR = 1000
"""Results of a running job that are looked at: the first accepted ones in chunk order."""
_GROUP = 50
_BELOW = re.compile(r"([0-9]{9,12})/(.+)", re.DOTALL)


@dataclass(frozen=True)
class SoFar:
    """Results of a running job's last stage: `reader` gives the first of those accepted, one after the other."""

    reader: BlobReader
    results: int
    accepted: int
    of: int


class Results:
    """Every method reads only what it returns. Holds no state between calls."""

    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._sources = sources

    def whole(self, job: Document) -> BlobReader:
        """The result. Raises Conflict where there is none."""
        if job["state"] != "completed":
            raise Conflict(f"job {job['_id']} has no result: it is {job['state']}")
        return self._sources.results(job["result"]["manifest"])

    def of_chunk(self, chunk: Chunk) -> BlobReader:
        """The canonical result of a chunk. Raises Conflict where it has none (yet)."""
        if chunk.state != "accepted" or chunk.digest is None:
            raise Conflict(f"chunk {chunk.id} has no accepted result: it is {chunk.state}")
        return self._sources.stored(chunk.digest)

    def files_of_chunk(self, chunk: Chunk) -> list[ResultFile]:
        """The files in a chunk's result of files. Raises Conflict as of_chunk."""
        self.of_chunk(chunk)
        manifest = Manifest(pack([(chunk.digest or "", chunk.size or 0)])[0])
        return [
            ResultFile(name=entry.name, size=entry.size)
            for _, _, found in self._directories(manifest)
            for entry in found
        ]

    def so_far(self, job: Document, most: int = MOST_SO_FAR) -> SoFar:
        """The results of the last stage that are accepted now, the first `most` of them."""
        last = last_stage(job)
        found = list(islice(self._store.chunks.canonical_results(job["_id"], last), most))
        manifest = Manifest(pack((digest, size) for _, digest, size in found)[0])
        reader = Concatenation(self._store.payloads, self._store.blobs, manifest)
        accepted = max(len(found), job.get("counters", {}).get(f"accepted_{last}", 0))
        return SoFar(reader, len(found), accepted, job["stages"][str(last)]["total"])

    # --- files -------------------------------------------------------------------------------------------------------

    def files(self, job: Document, cursor: str, limit: int) -> ResultFiles:
        """The files of a result of files, in chunk order; of a running job those of the results accepted so far, each
        below its chunk's index. Raises Conflict where the result is no files, BadRequest for a wrong cursor."""
        _check_files(job)
        if job["state"] == "completed":
            table, start = self._sources.table(job["result"]["file_table"]), _number(cursor)
            rows = [row.extent for row in table.rows(start, start + limit)]
            following = str(start + limit) if start + limit < len(table) else None
            return ResultFiles(
                files=[ResultFile(name=each.label.name, size=each.size) for each in rows], next=following
            )
        index, _, skipped = cursor.partition(".")
        return self._files_so_far(job, _number(index), _number(skipped), limit)

    def opened(self, job: Document) -> Iterator[tuple[str, BlobReader]]:
        """Every file of a completed job's result, one after the other. Raises Conflict at once."""
        _check_files(job)
        self.whole(job)
        rows = self._sources.table(job["result"]["file_table"]).rows()
        return ((row.extent.label.name, self._sources.open(row.extent)) for row in rows)

    def file(self, job: Document, name: str) -> BlobReader:
        """One file of a result, by the name that `files` gives. Raises NotFound, Conflict."""
        _check_files(job)
        if job["state"] == "completed":
            row = self._sources.table(job["result"]["file_table"]).find(name)
            if row is not None:
                return self._sources.open(row.extent)
        elif match := _BELOW.fullmatch(name):
            chunk = self._store.chunks.by_id(chunk_id(job["_id"], last_stage(job), int(match[1])))
            if chunk is not None and chunk.state == "accepted":
                return self._file_of(chunk, match[2])
        raise NotFound(f"the result of job {job['_id']} has no file {name}")

    def _file_of(self, chunk: Chunk, name: str) -> BlobReader:
        manifest = Manifest(pack([(chunk.digest or "", chunk.size or 0)])[0])
        for _, digest, found in self._directories(manifest):
            for entry in found:
                if entry.name == name:
                    return Window(self._sources.stored(digest), entry.offset, entry.size)
        raise NotFound(f"the result of chunk {chunk.index} of job {chunk.job} has no file {name}")

    def _directories(self, manifest: Manifest) -> Iterator[tuple[int, str, list[Entry]]]:
        try:
            yield from directories(self._store, manifest)
        except BadBundle as error:
            raise Conflict(str(error)) from error

    def _files_so_far(self, job: Document, first: int, skipped: int, limit: int) -> ResultFiles:
        listed: list[ResultFile] = []
        for index, number, file in self._listed(job, first):
            if index == first and number < skipped:
                continue
            if len(listed) == limit:
                return ResultFiles(files=listed, next=f"{index}.{number}")
            listed.append(file)
        return ResultFiles(files=listed)

    def _listed(self, job: Document, first: int) -> Iterator[tuple[int, int, ResultFile]]:
        last = last_stage(job)
        found = self._store.chunks.canonical_results(job["_id"], last, first, job["stages"][str(last)]["total"])
        while group := list(islice(found, _GROUP)):
            manifest = Manifest(pack((digest, size) for _, digest, size in group)[0])
            for place, _, entries in self._directories(manifest):
                index = group[place][0]
                for number, entry in enumerate(entries):
                    yield index, number, ResultFile(name=below(index, entry.name), size=entry.size)


def listed_name(name: str) -> str:
    """A file's own name, where it is listed below its chunk's index."""
    match = _BELOW.fullmatch(name)
    return match[2] if match else name


def has_files(job: Document) -> bool:
    """Whether the job's result is files."""
    result = job.get("result")
    if result is not None:
        return bool(result.get("bundled"))
    last: Sequence[str] = ((job["spec"].get("reduce") or job["spec"]["map"]).get("outputs")) or ()
    return bool(last)


def _check_files(job: Document) -> None:
    if not has_files(job):
        raise Conflict(f"the result of job {job['_id']} is plain bytes, not files: fetch it whole")


def _number(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 15):
        raise BadRequest("?cursor= is the `next` of the page before")
    return int(cursor)
