"""The accepted results of a running job, chunk by chunk, as they come to be."""

import hashlib
from collections.abc import Iterator

from .job import Job
from .master import PAGE, Master
from .protocol.errors import ChecksumMismatch
from .protocol.views import ChunkPage, ChunkView, JobView

MOST_AT_ONCE = 100
"""Results fetched in one look while the job runs: what is left of many comes with the whole result, and costs less."""


class Accepted:
    """Looks at a job of one stage without reduce; each look gives results that none before it gave."""

    def __init__(self, master: Master, job: Job) -> None:
        self.issued: set[int] = set()
        """Chunks that were handed out."""
        self._master, self._job = master, job
        self._known: dict[int, ChunkView] = {}
        """Accepted chunks."""
        self._given: set[int] = set()
        self._cursor = ""
        self._settled = 0
        """All chunks before it were accepted when they were last looked at: so far nothing has to be listed again."""
        self._last: tuple[int, int] | None = None

    def look(self) -> tuple[JobView, Iterator[tuple[int, bytes]]]:
        """The job as it is now, and accepted results with the numbers of their chunks; to be read whole. A job that has
        ended gives all that are left."""
        view = self._job.view
        moved = (view.stages[0].issued, view.stages[0].accepted)
        if moved != self._last or view.state != "running":
            self._list()
            self._last = moved
        if view.state == "completed":
            return view, self._from_result()
        return view, self._one_by_one(MOST_AT_ONCE if view.state == "running" else len(self._known))

    def _list(self) -> None:
        cursor, settling = self._cursor, True
        while True:
            params = {"limit": PAGE, "stage": "map", **({"cursor": cursor} if cursor else {})}
            page = self._master.call("job_chunks", ChunkPage, params=params, job=self._job.id)
            self.issued.update(chunk.index for chunk in page.chunks)
            self._known.update({chunk.index: chunk for chunk in page.chunks if chunk.state == "accepted"})
            if page.next is None:
                return
            cursor = page.next
            whole = range(self._settled, self._settled + len(page.chunks))
            settling = settling and all(index in self._known for index in whole)
            if settling:
                self._cursor, self._settled = cursor, whole.stop

    def _one_by_one(self, most: int) -> Iterator[tuple[int, bytes]]:
        for index in sorted(self._known.keys() - self._given)[:most]:
            chunk = self._known[index]
            data = b"".join(self._master.read_parts("chunk_result", chunk=chunk.id))
            yield index, self._checked(chunk, data)

    def _from_result(self) -> Iterator[tuple[int, bytes]]:
        """All that is left, cut out of the job's whole result, in which chunks stand in their order."""
        missing = sorted(self._known.keys() - self._given)
        begin = sum(self._known[index].size or 0 for index in range(missing[0])) if missing else 0
        parts = self._master.read_parts("job_result", start=begin, job=self._job.id)
        held = bytearray()
        for index in range(missing[0], len(self._known)) if missing else ():
            chunk = self._known[index]
            while len(held) < (chunk.size or 0):
                held += next(parts, b"") or self._cut_short(chunk)
            data = bytes(held[: chunk.size])
            del held[: chunk.size]
            if index not in self._given:
                yield index, self._checked(chunk, data)

    def _checked(self, chunk: ChunkView, data: bytes) -> bytes:
        if chunk.digest not in (None, hashlib.sha256(data).hexdigest()):
            raise ChecksumMismatch(f"the result of chunk {chunk.id} arrived with another SHA-256 than the master's")
        self._given.add(chunk.index)
        return data

    def _cut_short(self, chunk: ChunkView) -> bytes:
        raise ChecksumMismatch(f"the result of job {self._job.id} ends before its chunk {chunk.id}")
