"""What a job would be if it were submitted now: stores nothing, needs no upload."""

from collections.abc import Sequence

import msgspec

from dockercomp.protocol.job_rules import check_spec
from dockercomp.protocol.views import Forecast, StageView, SubmitRequest
from server import plan, wants
from server.describing import why_waiting
from server.jobs import Submission
from server.rights import EVERYTHING, Reach
from server.running import running_job, unfit
from server.store.connection import Document


def forecast(
    submission: Submission, owner: str, request: SubmitRequest, pool: Sequence[Document], reach: Reach = EVERYTHING
) -> Forecast:
    """With the clients of `pool`. Raises InvalidJob, UnknownImage, as submitting it would."""
    check_spec(request.spec)
    spec = plan.explicit(request.spec)
    outlook = submission.outlook(owner, spec, request, reach)
    document: Document = {
        "_id": "(this job)",
        "state": "running",
        "spec": msgspec.to_builtins(spec),
        "image": msgspec.to_builtins(outlook.pin),
        "waits_for": outlook.waits_for,
        "stages": {},
    }
    job = running_job(document)
    able = [client for client in pool if not unfit(job, client, (client.get("machine") or {}).get("platform", ""))]
    containers = sum((client.get("applied") or client["allocation"])["containers"] for client in able)
    low, high = _seconds(outlook.chunk_s, outlook.left, containers)
    return Forecast(
        stages=[
            StageView(name=stage.name, chunks=stage.total, issued=0, accepted=0)
            for stage in plan.stages(spec, outlook.chunks)
        ],
        reused=outlook.reused,
        clients=len(able),
        containers=containers,
        seconds_low=low,
        seconds_high=high,
        wants=wants.said(spec, pool),
        waiting=why_waiting(document, pool),
    )


def _seconds(chunk_s: float | None, replicas: int, containers: int) -> tuple[float | None, float | None]:
    """The map's time where chunks run as long as in an earlier job, give or take a half."""
    if chunk_s is None or not containers:
        return None, None
    seconds = replicas * chunk_s / containers
    return seconds / 1.5, seconds * 1.5
