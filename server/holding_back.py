"""Duty of housekeeping: jobs of people whose chunks that run are at their quota are given out no further for a while.

It looks once a round, so that a sync has nothing more to ask: between two looks a quota may be passed by what the
clients take meanwhile.
"""

from collections import defaultdict

from dockercomp.protocol.quotas import Amounts
from server.store import Store
from server.store.connection import Document


class HoldingBack:
    """Safe to repeat."""

    def __init__(self, store: Store, default: Amounts) -> None:
        self._store = store
        self._default = default.chunks

    def round(self, running: list[Document]) -> None:
        """Note on jobs that they are held back, and take it off again."""
        bounds = self._store.holdings.with_bound_chunks()
        if not self._default and not bounds and not any(job.get("held") for job in running):
            return
        admins = set(self._store.users.admins())
        by_owner = defaultdict[str, list[Document]](list)
        for job in running:
            by_owner[job["owner"]].append(job)
        for owner, jobs in by_owner.items():
            most = bounds.get(owner, 0 if owner in admins else self._default)
            self._note(jobs, self._reason(jobs, most))

    def _reason(self, jobs: list[Document], most: int) -> str:
        now = self._store.holdings.running_chunks([job["_id"] for job in jobs]) if most else 0
        return f"{now} chunks of its owner run, whose quota is {most} at one time" if most and now >= most else ""

    def _note(self, jobs: list[Document], reason: str) -> None:
        self._store.jobs.note_many({job["_id"]: {"held": reason} for job in jobs if job.get("held", "") != reason})
