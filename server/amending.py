"""Duty: changing chunks outside of a sync: stored where nobody else changed them meanwhile, and counted."""

import secrets
from collections.abc import Sequence

from server.lifecycle import Chunk, Replica
from server.store import Store
from server.verification import Verification

Change = tuple[Chunk, Chunk]
"""A chunk as read and as it shall be."""


class Amending:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._verification = Verification(store)

    def change(self, changes: Sequence[Change]) -> list[Change]:
        """Store those that change anything; returns those that were stored. Two round trips, and up to three more where
        they bear on counters."""
        real = [(before, after) for before, after in changes if after is not before]
        stored = self._store.chunks.compare_and_set(real, secrets.token_hex(8))
        done = [change for change in real if change[0].id in stored]
        if done:
            self._count(done)
        return done

    def _count(self, done: Sequence[Change]) -> None:
        now = self._store.duties.read_now()
        for job, counted in self._verification.count(done, _no_age, now=now).items():
            if any(counted.values()):
                self._store.jobs.count(job, dict(counted))


def opens(change: Change) -> bool:
    """Whether it opens an accepted chunk again."""
    before, after = change
    return before.state == "accepted" and after.state == "open"


def _no_age(_: Chunk, __: Replica) -> float:
    return 0.0
