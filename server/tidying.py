"""Duty: what is kept for a time goes when its time is over, and what nothing refers to any more is freed.

Freeing goes through all references of all jobs and may take minutes, so it runs beside the other duties.
"""

import structlog

from server.beside import Beside
from server.removal import Removal
from server.settings import Settings
from server.sources import Sources
from server.store import Store

_log = structlog.get_logger("tidying")

EVERY_S = 60.0
UPLOADS_EVERY_S = 24 * 3600.0
_DAY_S = 86_400.0


class Tidying:
    def __init__(self, store: Store, sources: Sources, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._removal = Removal(store, sources)
        self._next = 0.0
        self._next_uploads: float | None = None
        self._freeing = Beside("freeing")

    def round(self, now: float) -> None:
        """Do what is due at `now`, the database's time; freeing is left to a thread, one at a time."""
        if now < self._next:
            return
        self._next = now + EVERY_S
        self.expire(now)
        if self._uploads_due(now) or self._removal.due(now):
            self._freeing.start(self._free, now)

    def expire(self, now: float) -> None:
        """Remove jobs, and forget addresses, that are older than they are kept."""
        if self._settings.keep_jobs_days > 0:
            removed = self._store.jobs.remove_ended(now - self._settings.keep_jobs_days * _DAY_S)
            if removed:
                _log.info("old jobs are removed", jobs=removed)
        if self._settings.keep_addresses_days > 0:
            self._store.clients.forget_addresses(now - self._settings.keep_addresses_days * _DAY_S)

    def _uploads_due(self, now: float) -> bool:
        """Once a day, but not in the first minutes, when everything else begins."""
        if self._next_uploads is None:
            self._next_uploads = now + 10 * EVERY_S
        return now >= self._next_uploads

    def _free(self, now: float) -> None:
        """Where anything fails, what is not known for certain to be unused stays."""
        self._removal.free_removed(now)
        if self._uploads_due(now):
            self._next_uploads = now + UPLOADS_EVERY_S
            self._removal.free_uploads(now)
