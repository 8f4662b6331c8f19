"""Duty: running an ended job again. What failed or was cancelled is tried anew, what was accepted stays."""

import secrets

from dockercomp.protocol.errors import Conflict
from server import lifecycle
from server.store import Store
from server.store.connection import Document

_GROUP = 500
AT_ONCE = 5000
"""Chunks that are opened while the scientist waits; of more, housekeeping opens the rest."""


class Reopening:
    """Each step is safe to repeat: the job's mark `reopening` stays until every chunk is open again, and as long as it
    stands the job is neither ended nor moved on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def retry(self, job: Document) -> None:
        """Let an ended job run again; of one that runs nothing changes. Raises Conflict where it is completed."""
        if job["state"] == "completed":
            raise Conflict(f"job {job['_id']} is completed: there is nothing to run again")
        if job["state"] != "running":
            self._store.chunks.cancel_open(job["_id"])  # what is still open would end later, by housekeeping
            self._store.jobs.run_again(job["_id"])
            self._store.findings.wake(job["_id"])
            self.open(job["_id"], AT_ONCE)

    def open(self, job: str, limit: int | None = None) -> int:
        """Open up to `limit` chunks of a job that runs again, and take its mark off once all are; returns how many."""
        opened, after = 0, ""
        while found := self._store.chunks.without_result(job, after, _GROUP):
            changes = [(chunk, lifecycle.reopen(chunk)) for chunk in found]
            opened += len(self._store.chunks.compare_and_set(changes, secrets.token_hex(8)))
            after = found[-1].id
            if limit is not None and opened >= limit:
                return opened
        self._store.jobs.opened(job)
        return opened
