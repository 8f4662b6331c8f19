"""Duty: what follows from chunks that were given up. The others go on; the job ends when there is nothing else left, or
at once where the first ones all fail."""

from dataclasses import dataclass, field

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.orders import JobSpec
from server import blame
from server.naming import Names
from server.running import running_job, stages_of
from server.sources import Sources
from server.store import Store
from server.store.chunks import Failed
from server.store.connection import Document


@dataclass(frozen=True)
class Verdict:
    """`error` is empty where the job may go on; `noted` are fields to be kept on its document: those that name what
    failed, or the mark that chunks of it have to be opened."""

    error: str = ""
    noted: Document = field(default_factory=dict)


class Failures:
    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._names = Names(sources)

    def judge(self, job: Document, failed: dict[int, Failed]) -> Verdict:
        """What the failed chunks of a running job, counted by stage, come to. The job is not complete."""
        count = sum(found.count for found in failed.values())
        if not count:
            # Cancelled in the very moment in which it was run again: nothing is open, and not all is accepted.
            return Verdict(noted={"reopening": True} if self._settled(job) else {})
        counters = job.get("counters", {})
        for stage, found in failed.items():
            accepted = int(counters.get(f"accepted_{stage}", 0))
            issued = int(job["stages"][str(stage)]["cursor"])
            if blame.stops_early(found.count, accepted, issued - accepted - found.count):
                missing = self._missing(job, count)
                return Verdict(blame.systematic(found.count, accepted, found.error), missing)
        if not self._settled(job):
            return Verdict(noted=self._missing(job, count) if job.get("missing_count") != count else {})
        missing, last = self._missing(job, count), failed[max(failed)].error
        total = sum(stages_of(job)[stage]["total"] for stage in failed)
        return Verdict(blame.incomplete(job["_id"], count, total, missing["missing"][:3], last), missing)

    def _settled(self, job: Document) -> bool:
        """Whether there is nothing left to run: all that may be handed out has been, and has ended."""
        issued = all(stage["cursor"] >= stage["limit"] for stage in stages_of(job))
        return issued and not job["open_ranges"] and not self._store.chunks.any_open(job["_id"])

    def _missing(self, job: Document, count: int) -> Document:
        spec = running_job(job).spec
        named = [
            self._name(job, spec, chunk.stage, chunk.index)
            for chunk in self._store.chunks.failed(job["_id"], blame.NAMED)
        ]
        return {"missing": named, "missing_count": count}

    def _name(self, job: Document, spec: JobSpec, stage: int, index: int) -> str:
        try:
            return self._names.of(job, spec, stage, index)
        except NotFound:
            return f"chunk {index} of {job['stages'][str(stage)]['name']}"
