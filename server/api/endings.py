"""Routes of jobs that do not go well, or are done with: why, again, away."""

from typing import Any

from dockercomp.protocol.views import Explanation, JobView
from server.api import jobs
from server.api.services import Caller, Services
from server.removal import Removal
from server.reopening import Reopening


def job_retry(services: Services, caller: Caller, _: None, job: str) -> JobView:
    Reopening(services.store).retry(services.job(job))
    return jobs.job(services, caller, None, job)


def explain(services: Services, caller: Caller, _: None, subject: str) -> Explanation:
    return services.explaining.explain(subject, caller.rights.only_owner)


def job_remove(services: Services, caller: Caller, _: None, job: str) -> JobView:
    last = jobs.job(services, caller, None, job)
    Removal(services.store, services.inputs.sources).remove(services.job(job))
    return last


HANDLERS: dict[str, Any] = {"job_retry": job_retry, "job_remove": job_remove, "explain": explain}
