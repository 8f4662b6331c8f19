"""Duty: freeing what nothing refers to any more, after jobs were removed, and uploads that were never submitted.

Mark and sweep, beside everything else. What is stored is content-addressed and shared, so a thing may go only if no job
refers to it. A new reference may appear at any moment; each one is made by a call that finds the thing there, and that
call makes it young again (BlobStore.has, Payloads.put). So what was not called for in the last KEPT_S seconds, and to
which nothing referred when the marking began after that, is referred to by nothing.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import structlog

from dockercomp.protocol.errors import Conflict
from server.references import References
from server.sources import Sources
from server.store import Store
from server.store.connection import Document

_log = structlog.get_logger("removal")

KEPT_S = 3600.0
"""A removed job's contents are freed so long after it; submissions and results that find them meanwhile keep them."""
KEPT_UPLOAD_S = 24 * 3600.0
"""Uploads that no job refers to stay so long."""
_AT_ONCE = 200_000
"""Digests judged at once: about 30 MiB. Each time all references of all jobs are gone through."""


class Removal:
    """Each step is safe to repeat and to be left half-way."""

    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._references = References(store, sources)

    def remove(self, job: Document) -> None:
        """Take an ended job away; its contents go later. Raises Conflict where it runs."""
        if job["state"] == "running":
            raise Conflict(f"job {job['_id']} still runs; cancel it first: dockercomp cancel {job['_id']}")
        self._store.chunks.cancel_open(job["_id"])
        self._store.clients.forget_job(job["_id"])
        self._store.jobs.remove(job["_id"])
        self._store.curves.remove_job(job["_id"])

    def due(self, now: float) -> bool:
        """Whether there is anything for free_removed to do."""
        return bool(self._store.jobs.removed(before=now - KEPT_S, limit=1))

    def free_removed(self, now: float) -> int:
        """Free what only jobs referred to that were removed more than KEPT_S ago; returns how many jobs are gone."""
        gone = self._store.jobs.removed(before=now - KEPT_S)
        if gone:
            theirs = chain.from_iterable(self._references.of_job(job, all_results=True) for job in gone)
            freed = self._free(theirs, now - KEPT_S, leaving={job["_id"] for job in gone})
            for job in gone:
                self._store.chunks.remove_job(job["_id"])
                self._store.findings.remove_job(job["_id"])
                self._store.closings.forget(job["_id"])
                self._store.curves.remove_job(job["_id"])
                self._store.jobs.forget(job["_id"])
            _log.info("removed jobs are gone", jobs=len(gone), freed=freed)
        return len(gone)

    def free_uploads(self, now: float) -> int:
        """Free blobs to which nothing refers, a day after they were last called for; returns how many."""
        before = now - KEPT_UPLOAD_S
        self._store.blobs.drop_unfinished(before)
        self._forget_broken_off(before)
        freed = self._free(self._store.blobs.unused_since(before), before, leaving=set())
        if freed:
            _log.info("uploads that no job refers to are gone", freed=freed)
        return freed

    def _forget_broken_off(self, before: float) -> None:
        """Uploads of which nothing is here any more, or ever was, count no more."""
        begun = self._store.holdings.begun(before)
        while group := set(islice(begun, _AT_ONCE)):
            self._store.holdings.forget([digest for digest in group if not self._store.blobs.received(digest)])

    def _free(self, candidates: Iterable[str], before: float, leaving: set[str]) -> int:
        freed, waiting = 0, iter(candidates)
        while group := set(islice(waiting, _AT_ONCE)):
            group -= self._needed(group, leaving)
            freed += self._store.payloads.delete_unused(sorted(group), before)
            blobs = [digest for digest in group if self._store.blobs.delete_unused(digest, before)]
            self._store.holdings.forget(blobs)
            freed += len(blobs)
        return freed

    def _needed(self, candidates: set[str], leaving: set[str]) -> set[str]:
        """Those of the digests that an image or a job refers to, but for the jobs `leaving`."""
        return {digest for digest in self._referred(leaving) if digest in candidates}

    def _referred(self, leaving: set[str]) -> Iterator[str]:
        yield from self._references.of_images()
        for job in self._store.jobs.every():
            if job["_id"] not in leaving:
                yield from self._references.of_job(job)
