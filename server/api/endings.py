"""Routes of a job's second life and its end: running again what failed."""

from typing import Any

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.views import JobView
from server.api import jobs
from server.api.services import Caller, Services
from server.reopening import Reopening
from server.store.connection import Document


def job_retry(services: Services, caller: Caller, _: None, job: str) -> JobView:
    Reopening(services.store).retry(own_job(services, caller, job))
    return jobs.job(services, caller, None, job)


def own_job(services: Services, caller: Caller, job: str) -> Document:
    """A job of the caller, or any for an admin. Raises NotFound."""
    document = services.job(job)
    if caller.role != "admin" and document["owner"] != caller.id:
        raise NotFound(f"there is no job {job} of yours")
    return document


HANDLERS: dict[str, Any] = {"job_retry": job_retry}
