"""The overview: how much runs, what needs a look, and how to add a volunteer."""

from typing import Any

from flask import Blueprint, Response, request
from flask_login import current_user

from server import describing
from server.api.services import Services
from server.dashboard.client_page import seen
from server.dashboard.live import Part, show
from server.dashboard.rate import measure
from server.dashboard.volunteers import VolunteerForm
from server.store.connection import Document

_JOBS_SHOWN = 8
_CLIENTS_SHOWN = 8


def make(services: Services) -> Blueprint:
    pages = Blueprint("overview", __name__)
    store, silent_after_s = services.store, services.settings.silent_after_s

    @pages.get("/")
    def overview() -> str | Response:
        parts = {
            "numbers": Part("dashboard/overview/numbers.html", numbers),
            "running": Part("dashboard/overview/running.html", running),
            "attention": Part("dashboard/overview/attention.html", attention, every_s=5),
        }
        return show("dashboard/overview/page.html", parts, form=VolunteerForm())

    def numbers() -> dict[str, Any]:
        now = store.duties.read_now()
        whose = current_user.rights.only_owner
        jobs = {job["_id"]: job for job in (*store.jobs.running(owner=whose), *store.jobs.page(None, 20, whose))}
        rate, carry = measure(request.args.get("carry", ""), now, sum(map(_accepted, jobs.values())))
        totals = store.clients.totals(now - silent_after_s)
        return {"clients": totals, "jobs": store.jobs.count_running(whose), "rate": rate, "carry": carry}

    def running() -> dict[str, Any]:
        pool = store.clients.alive_since(store.duties.read_now() - silent_after_s)
        found = store.jobs.running(_JOBS_SHOWN, current_user.rights.only_owner)
        return {"jobs": [describing.job(job, pool) for job in found]}

    def attention() -> dict[str, Any]:
        now = store.duties.read_now()
        found = store.clients.needing_attention(now - silent_after_s, _CLIENTS_SHOWN)
        views = seen(services, found)
        refusals = [_refused(each) if current_user.rights.sees_all else "" for each in found]
        return {"clients": list(zip(views, refusals, strict=True))}

    return pages


def _accepted(job: Document) -> int:
    return int(sum(count for name, count in job.get("counters", {}).items() if name.startswith("accepted_")))


def _refused(client: Document) -> str:
    """Why a client refuses a job; empty where it refuses none."""
    return next((f"refuses job {each['job']}: {each['reason']}" for each in client.get("refused_jobs") or []), "")
