"""Results that are here already: a job whose program, image and input chunk were computed before takes them over.

Earlier jobs are found by their *recipe*, the digest of everything that decides what a map chunk gives but its input.
Their chunks are matched with those of the new job by what they read: the same bytes of the same stored thing, the same
numbers. Taken-over chunks come into being accepted, before any chunk of the job may be handed out.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from dockercomp.protocol.orders import NUMBER_SPLITS, ImagePin, InputSpec, JobSpec, WantsSpec
from server import lifecycle, splitting
from server.lifecycle import Chunk
from server.running import rules_of
from server.sources import Sources
from server.store import Store
from server.store.connection import Document
from server.tables import Extent, Table

MOST_ROWS = 200_000
"""Inputs of a job that are compared with another's; of jobs with more, nothing is reused."""
MOST_CHUNKS = 500_000
"""Chunks that one job takes over of another."""
MOST_EARLIER = 8
"""Jobs with the same recipe, the newest, that are looked through."""
_GROUP = 1000
_HOW_CUT = frozenset({"split", "chunk_size", "record_size", "files_per_chunk", "per_chunk", "parameters"})


def recipe(spec: JobSpec, pin: ImagePin, program: str) -> str:
    """Jobs with the same recipe give the same result for the same input chunk."""
    asked = msgspec.to_builtins(spec)
    decides = {key: asked.get(key) for key in ("map", "combine", "environment", "setup", "verify")}
    decides["input"] = {key: value for key, value in asked["input"].items() if key in _HOW_CUT}
    if spec.wants != WantsSpec():
        decides["wants"] = msgspec.to_builtins(spec.wants)
    decides["partitions"] = spec.reduce.partitions if spec.reduce else 1
    decides |= {"image": pin.config_digest, "platform": pin.platform, "program": program}
    return hashlib.sha256(msgspec.json.encode(decides, order="deterministic")).hexdigest()


class Reuse:
    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._sources = sources

    def earlier(self, owner: str, made_by: str, spec: JobSpec) -> list[Document]:
        """The owner's newest jobs with this recipe, so verified in the same way; each may be of another input."""
        if not spec.reuse or spec.map.question is not None:
            return []
        return self._store.jobs.with_recipe(owner, made_by, MOST_EARLIER)

    def matches(self, spec: JobSpec, table: Table | None, earlier: Document) -> Iterator[tuple[int, int]]:
        """(index, index in the earlier job) of the chunks that read the same. `table` is that of the new job."""
        pairs = self._same_input(spec.input, table, earlier)
        own_index = _asks_index(spec)
        return (pair for pair in pairs if not own_index or pair[0] == pair[1])

    def _same_input(self, spec: InputSpec, table: Table | None, earlier: Document) -> Iterator[tuple[int, int]]:
        before = msgspec.convert(earlier["spec"], JobSpec).input
        if spec.split in NUMBER_SPLITS:
            accepted = (index for index, _, _ in self._store.chunks.canonical_results(earlier["_id"], 0))
            yield from _same_numbers(spec, before, accepted)
            return
        earlier_table = self._sources.table(earlier["inputs"])
        if table is None or max(len(table), len(earlier_table)) > MOST_ROWS:
            return
        known = dict(_places(spec, earlier_table))
        for key, first in _places(spec, table):
            if key in known:
                count = 1 if spec.split == "files" else splitting.of_file(spec, key[2])  # type: ignore[arg-type]
                yield from ((first + n, known[key] + n) for n in range(count))

    def count(self, spec: JobSpec, table: Table | None, earlier: Sequence[Document]) -> int:
        """How many chunks would be taken over."""
        return len(
            {
                index
                for job in earlier
                for pairs in self._pairs(spec, table, job)
                for index, _ in self._here(job["_id"], pairs)
            }
        )

    def take_over(self, job: Document) -> int:
        """Bring the matching chunks of a job that may not be handed out yet into being, accepted; then let the others
        be. Returns how many. Safe to repeat."""
        spec = msgspec.convert(job["spec"], JobSpec)
        table = self._sources.table(job["inputs"]) if job["inputs"] else None
        taken: set[int] = set()
        for name in job["reuse"]:
            earlier = self._store.jobs.by_id(name)
            for pairs in self._pairs(spec, table, earlier) if earlier is not None else ():
                found = self._here(name, [pair for pair in pairs if pair[0] not in taken])
                self._store.chunks.insert_new([_taken_over(job["_id"], index, spec, chunk) for index, chunk in found])
                taken |= {index for index, _ in found}
        first = next((n for n in range(len(taken) + 1) if n not in taken), 0)
        self._store.jobs.begin(job["_id"], cursor=first, reused=len(taken))
        return len(taken)

    def _pairs(self, spec: JobSpec, table: Table | None, earlier: Document) -> Iterator[list[tuple[int, int]]]:
        """The matches, some at a time."""
        found = islice(self.matches(spec, table, earlier), MOST_CHUNKS)
        while pairs := list(islice(found, _GROUP)):
            yield pairs

    def _here(self, earlier: str, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, Chunk]]:
        """Those of the pairs whose earlier chunk is accepted: the new index, and that chunk."""
        chunks = {chunk.index: chunk for chunk in self._store.chunks.by_ids([_id(earlier, old) for _, old in pairs])}
        return [(new, chunks[old]) for new, old in pairs if old in chunks and chunks[old].state == "accepted"]


def _id(job: str, index: int) -> str:
    return lifecycle.chunk_id(job, 0, index)


def _asks_index(spec: JobSpec) -> bool:
    """Whether a chunk's result may depend on its number: then it is that of no other chunk."""
    programs = (spec.map, spec.combine) if spec.combine else (spec.map,)
    words = " ".join(word for program in programs for word in program.command or ())
    return "{index}" in words or "DC_INDEX" in words


def _taken_over(job: str, index: int, spec: JobSpec, chunk: Chunk) -> Chunk:
    fresh = lifecycle.fresh(job, 0, index, rules_of(spec, 0))
    return msgspec.structs.replace(
        fresh, state="accepted", need=0, digest=chunk.digest, size=chunk.size, reused=chunk.reused or chunk.id
    )


def _same_numbers(spec: InputSpec, before: InputSpec, accepted: Iterable[int]) -> Iterator[tuple[int, int]]:
    shift, rest = divmod(splitting.bounds(spec)[0] - splitting.bounds(before)[0], spec.per_chunk)
    for earlier in () if rest else accepted:
        index = earlier - shift
        within = 0 <= index < splitting.of_numbers(spec)
        if within and splitting.numbers(spec, index) == splitting.numbers(before, earlier):
            yield index, earlier


def _places(spec: InputSpec, table: Table) -> Iterator[tuple[tuple[object, ...], int]]:
    """What is read, and the index of the first chunk that reads it."""
    if spec.split == "files":
        for index in range(splitting.of_files(spec, len(table))):
            rows = table.rows(*splitting.files(spec, index, len(table)))
            read = [(row.extent.label.name, *_read(row.extent)) for row in rows]
            if all(each[1] for each in read):
                yield tuple(read), index
        return
    for row in table.rows():
        read_here = _read(row.extent)
        if read_here[0]:
            yield read_here, row.chunks_end - row.extent.chunks


def _read(extent: Extent) -> tuple[str, int, int]:
    """What names the bytes for good; empty where nothing does."""
    if extent.kind == "url":
        name = f"{extent.label.url} {extent.label.etag}" if extent.label.etag else ""
        return name, 0, extent.size
    return extent.digest, extent.offset, extent.size
