"""Signed receipts of jobs and chunks: made once when a job has ended, and kept with it. See protocol.receipts."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from dockercomp.protocol import merkle, receipts
from dockercomp.protocol.errors import Busy, Conflict, NotFound
from dockercomp.protocol.orders import ImagePin, JobSpec
from dockercomp.protocol.receipts import (
    MOST_LISTED,
    ChunkReceipt,
    FileDigest,
    Input,
    Inputs,
    JobReceipt,
    Master,
    Output,
    sign,
    when,
)
from dockercomp.protocol.signing import public_key
from server import record_blocks
from server.lifecycle import Chunk
from server.manifests import Manifest, pack
from server.receipt_records import Summary, record_of
from server.running import stages_of
from server.sources import Sources
from server.store import Store
from server.store.blobs import stream
from server.store.connection import Document
from server.store.contents import read_all

_PAGE = 1000
_AT_ONCE = 10_000
"""Chunks of a job whose receipt is made while somebody waits for it; those of larger ones by housekeeping."""
_SMALL = 256 * 2**20
"""Bytes of a result of files, likewise: all of them are read."""


@dataclass(frozen=True)
class Tree:
    """Where a job's records are kept: blob of the packed blocks, blob of their index, and the root."""

    records: str
    index: str
    root: bytes


class Receipts:
    def __init__(self, store: Store, sources: Sources, seed: bytes, url: str) -> None:
        self._store = store
        self._sources = sources
        self._seed = seed
        self._master = Master(url=url, key=public_key(seed))

    def of_job(self, job: Document, edition: int | None = None) -> bytes:
        """The receipt of a completed job, its newest edition or that one; the same bytes each time.

        Raises Conflict where there is no result, Busy while the receipt of a large job is being made, NotFound.
        """
        if edition is not None and edition != edition_of(job):
            kept = job.get("receipts", {}).get(str(edition))
            if kept is None:
                raise NotFound(f"job {job['_id']} has no receipt of edition {edition}")
        else:
            kept = self._kept(job)
        return read_all(self._store.blobs.open(kept["envelope"]))

    def of_chunk(self, job: Document, chunk: Chunk) -> bytes:
        """The receipt of an accepted chunk. While its job runs it proves no place among others, and the result may be
        checked again. Raises Conflict where the chunk has no accepted result, Busy as of_job."""
        if chunk.state != "accepted":
            raise Conflict(f"chunk {chunk.id} has no accepted result, so no receipt: it is {chunk.state}")
        if job["state"] == "completed":
            return sign(self._proven(job, chunk, self._kept(job)), self._seed)
        spec = msgspec.convert(job["spec"], JobSpec)
        record = receipts.encode_record(record_of(chunk, spec, stages_of(job)[chunk.stage]["name"]))
        return sign(self._of_record(job, spec, record), self._seed)

    def is_quick(self, job: Document) -> bool:
        """Whether the receipt of this completed job is made in some seconds."""
        read = job["result"]["size"] if job["result"]["bundled"] else 0
        return chunks_of(job) <= _AT_ONCE and read <= _SMALL

    def make(self, job: Document) -> bool:
        """Make the receipt of a completed job, unless it has one; of several makers one is kept. Reads every chunk, and
        every file of a result of files, with flat memory. Raises Conflict where a chunk is being checked again."""
        edition = edition_of(job)
        if str(edition) in job.get("receipts", {}):
            return False
        spec = msgspec.convert(job["spec"], JobSpec)
        summary = Summary(spec)
        tree = self._tree(job, spec, summary)
        receipt = self._receipt(job, summary, tree.root)
        raw = sign(receipt, self._seed)
        kept = {
            "envelope": self._store.blobs.put(raw),
            "body": _body_digest(raw),
            "records": tree.records,
            "index": tree.index,
            "root": tree.root.hex(),
        }
        return self._store.jobs.keep_receipt(job["_id"], edition, kept)

    def _kept(self, job: Document) -> Document:
        """Where the receipt of the present edition lies; made now where it is not there. Raises as of_job."""
        if job["state"] != "completed":
            withdrawn = f"its result was withdrawn: {job['withdrawn']}" if job.get("withdrawn") else ""
            reason = withdrawn or f"it is {job['state']}, and only a result has one"
            raise Conflict(f"job {job['_id']} has no receipt: {reason}")
        edition, found = str(edition_of(job)), job
        if edition not in job.get("receipts", {}):
            if not self.is_quick(job):
                raise Busy("the receipt of this job is being made, which takes a while: come again", retry_after=5)
            self.make(job)
            found = self._store.jobs.by_id(job["_id"]) or job
        kept: Document | None = found.get("receipts", {}).get(edition)
        if kept is None:
            raise Busy("the job's result has just changed: come again", retry_after=1)
        return kept

    def _tree(self, job: Document, spec: JobSpec, summary: Summary) -> Tree:
        """Store the records of all chunks, and sum them up."""
        listed: list[tuple[str, int]] = []

        def packed() -> Iterator[bytes]:
            for block in record_blocks.blocks(self._records(job, spec, summary)):
                listed.append((block.root.hex(), len(block.packed)))
                yield block.packed

        kept = self._store.blobs.put_stream(packed())
        index, _ = pack(listed)
        roots = [bytes.fromhex(root) for root, _ in listed]
        return Tree(kept, self._store.blobs.put(index), merkle.root(roots))

    def _records(self, job: Document, spec: JobSpec, summary: Summary) -> Iterator[bytes]:
        for number, stage in enumerate(stages_of(job)):
            count, after = 0, ""
            while found := self._store.chunks.page(job["_id"], number, "accepted", after, _PAGE):
                for chunk in found:
                    record = record_of(chunk, spec, stage["name"])
                    summary.add(record)
                    yield receipts.encode_record(record)
                count, after = count + len(found), found[-1].id
            if count != stage["total"]:
                raise Conflict(f"chunks of job {job['_id']} are being checked again: it has no receipt yet")

    def _receipt(self, job: Document, summary: Summary, root: bytes) -> JobReceipt:
        before = job.get("receipts", {}).get(str(edition_of(job) - 1), {})
        return JobReceipt(
            master=self._master,
            job=job["_id"],
            name=job["name"],
            scientist=job["owner"],
            scientist_key=job.get("scientist_key", ""),
            edition=edition_of(job),
            supersedes=before.get("body", ""),
            because=(job.get("superseded") or [{}])[-1].get("reason", ""),
            submitted=when(job["created"]),
            ended=when(job["ended"]),
            image=msgspec.convert(job["image"], ImagePin),
            program=job["program"],
            order=hashlib.sha256(job["order"]).hexdigest(),
            inputs=self._inputs(job),
            output=self._output(job["result"]),
            verification=summary.verification(job.get("trust")),
            clients=summary.clients,
            owners=summary.owners,
            contributors=summary.contributors(),
            chunks=chunks_of(job),
            records=root.hex(),
        )

    def _inputs(self, job: Document) -> Inputs:
        if not job["inputs"]:
            return Inputs()
        table = self._sources.table(job["inputs"])
        listed = []
        for row in table.rows(0, MOST_LISTED):
            extent, label = row.extent, row.extent.label
            digest = "" if extent.kind == "url" else extent.digest
            listed.append(
                Input(
                    name=label.name,
                    size=extent.size,
                    digest=digest,
                    offset=extent.offset,
                    url=label.url,
                    etag=label.etag,
                )
            )
        return Inputs(digest=job["inputs"], count=len(table), listed=listed)

    def _output(self, result: Document) -> Output:
        if not result["bundled"]:
            return Output(digest=result["digest"], size=result["size"])
        hashes: list[bytes] = []
        listed: list[FileDigest] = []
        for file in self._files(result["file_table"]):
            hashes.append(receipts.file_hash(file.name, file.size, file.digest))
            if len(listed) < MOST_LISTED:
                listed.append(file)
        return Output(
            digest=result["digest"],
            size=result["size"],
            files=len(hashes),
            files_digest=receipts.files_digest(hashes),
            listed=listed if len(hashes) <= MOST_LISTED else [],
        )

    def _files(self, file_table: str) -> Iterator[FileDigest]:
        """Every file with its own digest; all are read, one after the other."""
        table = self._sources.table(file_table)
        whole, held = stream(self._sources.rows(table)), b""
        for row in table.rows():
            digest, left = hashlib.sha256(), row.extent.size
            while left:
                held = held or next(whole)
                digest.update(held[:left])
                left, held = left - len(held[:left]), held[left:]
            yield FileDigest(name=row.extent.label.name, size=row.extent.size, digest=digest.hexdigest())

    # --- of one chunk -----------------------------------------------------------------------------------------------

    def _proven(self, job: Document, chunk: Chunk, kept: Document) -> ChunkReceipt:
        """The record as the job's receipt covers it, whatever became of the chunk's document since, and its path."""
        index = Manifest(read_all(self._store.blobs.open(kept["index"])))
        place = sum(stage["total"] for stage in stages_of(job)[: chunk.stage]) + chunk.index
        start, stop = record_blocks.span(index, place)
        block = record_blocks.records(self._store.blobs.open(kept["records"]).read_at(start, stop - start))
        plain = self._of_record(job, msgspec.convert(job["spec"], JobSpec), block[place % record_blocks.GROUP])
        return msgspec.structs.replace(
            plain,
            of=kept["body"],
            edition=edition_of(job),
            records=kept["root"],
            place=place,
            chunks=chunks_of(job),
            path=[each.hex() for each in record_blocks.path(index, block, place)],
        )

    def _of_record(self, job: Document, spec: JobSpec, record: bytes) -> ChunkReceipt:
        return ChunkReceipt(
            master=self._master,
            image=msgspec.convert(job["image"], ImagePin),
            program=job["program"],
            order=hashlib.sha256(job["order"]).hexdigest(),
            rules=receipts.written_out(spec.verify),
            record=record.decode(),
        )


def edition_of(job: Document) -> int:
    """1, and one more each time that its result was withdrawn and found anew."""
    return int(job.get("edition", 1))


def chunks_of(job: Document) -> int:
    """Chunks of all stages."""
    return sum(int(stage["total"]) for stage in stages_of(job))


def _body_digest(raw: bytes) -> str:
    return hashlib.sha256(receipts.opened(raw).body.encode()).hexdigest()
