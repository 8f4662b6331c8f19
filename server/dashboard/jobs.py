"""Jobs: the list, and a page each with its progress, failures and result."""

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from dockercomp.protocol.errors import BadRequest, NotFound
from dockercomp.protocol.views import ChunkView, JobView
from server import describing
from server.api.authentication import in_session
from server.api.endings import job_remove, job_retry
from server.api.jobs import job_cancel
from server.api.services import Services
from server.api.streams import running_chunks
from server.dashboard import results, speedups, trust
from server.dashboard.live import Part, show
from server.store.connection import Document

PAGE = 50
_FAILURES_SHOWN = 10
_RUNNING_SHOWN = 12


def make(services: Services) -> Blueprint:
    pages = Blueprint("jobs", __name__, url_prefix="/jobs")
    store, silent_after_s = services.store, services.settings.silent_after_s

    @pages.get("")
    def jobs() -> str | Response:
        return show("dashboard/jobs/page.html", {"list": Part("dashboard/jobs/list.html", rows)})

    def rows() -> dict[str, Any]:
        before = request.args.get("before", "")
        found = store.jobs.page(_cursor(before), PAGE + 1, current_user.rights.only_owner)
        alive = pool()
        views = [describing.job(each, alive) for each in found[:PAGE]]
        following = f"{found[PAGE - 1]['created']!r},{found[PAGE - 1]['_id']}" if len(found) > PAGE else ""
        return {"jobs": views, "before": before, "following": following}

    @pages.get("/<job>")
    def job(job: str) -> str | Response:
        document = store.jobs.by_id(job)
        if document is None:
            raise NotFound(f"There is no job {job}.")
        view = describing.job(document, pool())
        running = view.state == "running"
        owns = current_user.role == "admin" or current_user.id == view.owner
        parts = {
            "actions": Part("dashboard/jobs/actions.html", lambda: {"job": view, "owns": owns}, 2 * running),
            "progress": Part("dashboard/jobs/progress.html", lambda: {"job": view, "owns": owns}, 2 * running),
            "explained": Part("dashboard/jobs/explained.html", lambda: explained(view), 5 * running),
            "running": Part("dashboard/jobs/running.html", lambda: at_work(document), 2 * running),
            "result": Part("dashboard/results/result.html", lambda: results.result(services, document), 5 * running),
            "trust": trust.of_job(services, document),
            "speedup": speedups.of_job(services, document),
            "plots": Part("dashboard/results/plots.html", lambda: results.plots(services, document), 5 * running),
            "failures": Part("dashboard/jobs/failures.html", lambda: failures(document, view), 5 if running else 0),
        }
        return show("dashboard/jobs/job.html", parts, job=view, spec=document["spec"], owns=owns)

    @pages.post("/<job>/cancel")
    def cancel(job: str) -> AnyResponse:
        job_cancel(services, in_session(request), None, job)
        return redirect(url_for("jobs.job", job=job), 303)

    @pages.post("/<job>/retry")
    def retry(job: str) -> AnyResponse:
        job_retry(services, in_session(request), None, job)
        return redirect(url_for("jobs.job", job=job), 303)

    @pages.post("/<job>/remove")
    def remove(job: str) -> AnyResponse:
        job_remove(services, in_session(request), None, job)
        return redirect(url_for("jobs.jobs"), 303)

    def explained(view: JobView) -> dict[str, Any]:
        """Why a running job is as it is; of one that has ended its page tells everything else."""
        return {"why": None if view.state != "running" or view.waiting else services.explaining.explain(view.id)}

    def at_work(document: Document) -> dict[str, Any]:
        found = running_chunks(services, document, _RUNNING_SHOWN + 1)
        return {"job": document, "chunks": found[:_RUNNING_SHOWN], "more": len(found) > _RUNNING_SHOWN}

    def failures(document: Document, view: JobView) -> dict[str, Any]:
        """Chunks with failed runs; asked for only where the counters say that there are any."""
        found = store.chunks.with_failures(view.id, _FAILURES_SHOWN) if view.failures or view.state == "failed" else []
        return {"job": view, "chunks": [_with_failed_runs(describing.chunk(each, document)) for each in found]}

    def pool() -> list[Document]:
        return store.clients.alive_since(store.duties.read_now() - silent_after_s)

    return pages


def _with_failed_runs(chunk: ChunkView) -> dict[str, Any]:
    return {"chunk": chunk, "runs": [replica for replica in chunk.replicas if replica.failure]}


def _cursor(before: str) -> tuple[float, str] | None:
    if not before:
        return None
    created, _, job = before.partition(",")
    try:
        return float(created), job
    except ValueError:
        raise BadRequest("This page's address is not whole; begin at the first page.") from None
