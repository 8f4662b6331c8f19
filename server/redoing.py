"""Duty: running anew what read a result that has changed.

A chunk that is opened again keeps what it gave (`was`) for those that read it; only if another result is accepted then
is anything done over, stage by stage: a reducer that gives the same again stops it. Chunks of other jobs that took the
result over are run anew as well, and whoever read the whole result is told. The chunk shows its change until all that
has been written, so a master may die at any point.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import structlog

from server import lifecycle, plan
from server.amending import Amending, Change
from server.lifecycle import Chunk
from server.running import RunningJob, running_job
from server.stages import Stages
from server.store import Store
from server.store.connection import Document

_log = structlog.get_logger("redoing")

GROUP = 500


class Redoing:
    def __init__(self, store: Store, stages: Stages) -> None:
        self._store = store
        self._stages = stages
        self._amending = Amending(store)

    def round(self, running: Sequence[Document]) -> None:
        """Of the running jobs: others have no such chunks, or nothing is done about them until they run again."""
        by_job: dict[str, list[Chunk]] = defaultdict(list)
        for chunk in self._store.reviews.changed([job["_id"] for job in running], GROUP):
            by_job[chunk.job].append(chunk)
        for job, changed in by_job.items():
            document = self._store.jobs.by_id(job)
            if document is not None and not document.get("reviewing"):
                self._of_job(running_job(document), changed)

    def _of_job(self, job: RunningJob, changed: Sequence[Chunk]) -> None:
        flat = not plan.is_tree(job.spec) and any(chunk.stage == 0 for chunk in changed) and _has_readers(job)
        if flat and self._store.chunks.first_open(job.id, 0) is not None:
            return  # its reducers read a list of all results: it is made once they are all there
        if not self._store.editions.review(job.id):
            return
        if not flat or self._stages.list_anew(job.document):
            for chunks in self._all_of(job.id, 1) if flat else self._readers(job, changed):
                self._redo(job, chunks)
            while changed:
                self._warn_others(job, changed)
                self._change([(chunk, lifecycle.adopt(chunk)) for chunk in changed])
                _log.info("what read changed results is run anew", job=job.id, changed=len(changed))
                changed = self._store.reviews.changed([job.id], GROUP) if flat else []
        self._store.editions.reviewed(job.id)

    def _readers(self, job: RunningJob, changed: Sequence[Chunk]) -> Iterator[list[Chunk]]:
        """The reducers of a tree that read these chunks, as far as there are any yet."""
        ids = [
            lifecycle.chunk_id(job.id, number, reader)
            for chunk in changed
            for number, stage in enumerate(job.stages)
            if stage["reads"] == chunk.stage and plan.is_tree(job.spec)
            for reader in plan.readers(job.spec, plan.stage_of(stage), chunk.index, job.stages[chunk.stage]["total"])
        ]
        yield self._store.chunks.by_ids(list(dict.fromkeys(ids)))

    def _all_of(self, job: str, stage: int) -> Iterator[list[Chunk]]:
        after = ""
        while chunks := self._store.reviews.of_stage(job, stage, after, GROUP):
            yield chunks
            after = chunks[-1].id

    def _redo(self, job: RunningJob, chunks: Sequence[Chunk]) -> None:
        if chunks:
            self._store.closings.forget(job.id, min(chunk.stage for chunk in chunks))
            self._change([(chunk, lifecycle.redo(chunk)) for chunk in chunks])

    def _warn_others(self, job: RunningJob, changed: Sequence[Chunk]) -> None:
        """Run anew what other jobs took over of these chunks; tell those that read the job's result."""
        ids = [chunk.id for chunk in changed]
        for other in self._store.editions.built_on([job.id]):
            if job.id in other.get("chained", []):
                self._store.editions.warn(other["_id"], _warning(job.id))
            taken = self._store.reviews.taken_from(other["_id"], ids)
            if taken and self._begin(other, job.id):
                self._change([(chunk, lifecycle.redo(chunk)) for chunk in taken])
                self._store.editions.reviewed(other["_id"])

    def _begin(self, other: Document, job: str) -> bool:
        editions = self._store.editions
        return editions.review(other["_id"]) or editions.withdraw(other["_id"], _withdrawn(job))

    def _change(self, changes: Sequence[Change]) -> None:
        wanted = sum(after is not before for before, after in changes)
        if len(self._amending.change(changes)) < wanted:
            raise Interrupted("chunks changed meanwhile; the next round goes on")


class Interrupted(Exception):
    """A chunk changed while it was to be run anew: nothing counts as done until the next round has repeated it."""


def _has_readers(job: RunningJob) -> bool:
    """Whether reducers of a flat job may have begun."""
    return len(job.stages) > 1 and job.stages[1]["limit"] > 0


def _warning(job: str) -> str:
    return (
        f"its input was the result of job {job}, of which a part turned out to be wrong and is corrected: submit this"
        " job again once that one is completed"
    )


def _withdrawn(job: str) -> str:
    return f"results that it took over from job {job} turned out to be wrong: they are computed anew"
