"""Routes of jobs that do not go well, or are done with: why, again, away."""

from typing import Any

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.views import Explanation, JobView
from server.api import jobs
from server.api.services import Caller, Services
from server.removal import Removal
from server.reopening import Reopening
from server.store.connection import Document


def job_retry(services: Services, caller: Caller, _: None, job: str) -> JobView:
    Reopening(services.store).retry(own_job(services, caller, job))
    return jobs.job(services, caller, None, job)


def explain(services: Services, caller: Caller, _: None, subject: str) -> Explanation:
    return services.explaining.explain(subject)


def job_remove(services: Services, caller: Caller, _: None, job: str) -> JobView:
    last = jobs.job(services, caller, None, job)
    Removal(services.store, services.inputs.sources).remove(own_job(services, caller, job))
    return last


def own_job(services: Services, caller: Caller, job: str) -> Document:
    """A job of the caller, or any for an admin. Raises NotFound."""
    document = services.job(job)
    if caller.role != "admin" and document["owner"] != caller.id:
        raise NotFound(f"there is no job {job} of yours")
    return document


HANDLERS: dict[str, Any] = {"job_retry": job_retry, "job_remove": job_remove, "explain": explain}
