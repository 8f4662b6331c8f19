"""Duty: telling scientists how their jobs go. What is still to be told stands on the job, so no crash forgets it."""

from collections.abc import Sequence

import msgspec
import structlog

from server import describing, notices
from server.notices import Notice, Pending
from server.senders import NotReached, Senders
from server.settings import Settings
from server.store import Store
from server.store.connection import Document

_log = structlog.get_logger("notifying")


class Notifying:
    """Slow addresses make it slow: it runs beside the other duties."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._senders = Senders(settings)

    def round(self, now: float) -> int:
        """Tell what is due; returns how many addresses were reached. Safe to repeat: then some are told twice."""
        jobs = self._store.jobs.with_somebody_to_tell()
        pool = self._store.clients.alive_since(now - self._settings.silent_after_s) if jobs else []
        return sum(self._of_job(job, pool, now) for job in jobs)

    def _of_job(self, job: Document, pool: Sequence[Document], now: float) -> int:
        waits_since = self._waits_since(job, pool, now)
        stored = job.get("notice")
        pending = msgspec.convert(stored, Pending) if stored else None
        if pending is None or (pending.event == "waits" and job["state"] != "running"):
            event = notices.due(job, waits_since, now)
            if event is None:
                return 0
            pending = Pending(event=event, number=job.get("notices", 0), left=tuple(job["spec"]["notify"]))
        return self._try(job, pool, pending, now) if pending.next <= now else 0

    def _try(self, job: Document, pool: Sequence[Document], pending: Pending, now: float) -> int:
        view = describing.job(job, pool)
        notice = Notice(
            id=f"{view.id}/{pending.number}/{pending.event}",
            event=pending.event,
            sentence=notices.sentence(pending.event, view),
            link=f"{self._settings.url}/jobs/{view.id}",
            job=view,
        )
        reached, problem = [], ""
        for address in pending.left:
            try:
                self._senders.send(address, notice)
                reached.append(address)
            except NotReached as error:
                problem = str(error)
                _log.warning("somebody was not reached", job=view.id, notice=pending.event, problem=problem)
        later = notices.after(pending, reached, problem, now)
        if notices.over(later):
            self._store.jobs.told(job["_id"], pending.event)
        else:
            self._store.jobs.note_notice(job["_id"], {"notice": msgspec.to_builtins(later)})
        return len(reached)

    def _waits_since(self, job: Document, pool: Sequence[Document], now: float) -> float | None:
        """Since when a running job waits; noted on it, so that it outlives this process."""
        waits = bool(describing.why_waiting(job, pool))
        if waits and "waits_since" not in job:
            self._store.jobs.note_notice(job["_id"], {"waits_since": now})
            return now
        if not waits and "waits_since" in job:
            self._store.jobs.waits_no_longer(job["_id"])
        return float(job["waits_since"]) if waits else None
