"""Routes of chunks that run now: how far they are, and their log and output as they grow."""

from typing import Any

from flask import Response, request

from dockercomp.protocol.errors import BadRequest, NotFound
from dockercomp.protocol.views import RunningChunk, RunningPage
from server.api.services import Caller, Services
from server.running import stages_of
from server.store.connection import Document
from server.store.streams import KINDS, joined

_MOST = 500
_TAIL = 2000
"""Characters of the log that a page shows."""


def job_running(services: Services, caller: Caller, _: None, job: str) -> RunningPage:
    return RunningPage(chunks=running_chunks(services, services.job(job), _MOST))


def running_chunks(services: Services, job: Document, most: int) -> list[RunningChunk]:
    """The chunks of a job that run now and have said so lately."""
    if job["state"] != "running":
        return []
    found = services.store.streams.of_job(job["_id"], most)
    return [_chunk(job, each) for each in found if each["ago"] < services.settings.silent_after_s]


def job_stream(services: Services, caller: Caller, _: None, job: str) -> Response:
    """What there is from byte ?from= on. `Stream-From` says where it begins: later, where the beginning is not kept."""
    services.job(job)
    kind, lease, start = request.args.get("kind", "log"), request.args.get("lease", ""), request.args.get("from", "0")
    if kind not in KINDS or not (start.isascii() and start.isdigit() and len(start) < 18):
        raise BadRequest("a stream is asked for with ?lease=, ?kind= log or output, and ?from= a byte")
    begin, data = services.store.streams.read(job, lease, kind)
    if not data and not lease.partition(".")[2].startswith(f"{job}."):
        raise NotFound(f"job {job} has no lease {lease or '(?lease= is missing)'}")
    skipped = min(max(0, int(start) - begin), len(data))
    headers = {"Stream-From": str(begin + skipped), "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return Response(data[skipped:], content_type="application/octet-stream", headers=headers)


def _chunk(job: Document, found: Document) -> RunningChunk:
    return RunningChunk(
        lease=found["_id"],
        stage=stages_of(job)[found["stage"]]["name"],
        index=found["index"],
        client=found["client"],
        seconds=found["seconds"] + found["ago"],
        progress=found["progress"],
        message=found["message"],
        log_tail=joined(found.get("log") or [])[1].decode(errors="replace")[-_TAIL:],
        checkpoint=found["checkpoint"],
    )


HANDLERS: dict[str, Any] = {"job_running": job_running, "job_stream": job_stream}
