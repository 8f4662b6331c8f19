"""Stored documents as people see them: pure, no I/O."""

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Literal, TypeVar

import msgspec

from dockercomp import __version__
from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, ContainerReport, Machine
from dockercomp.protocol.orders import ImagePin
from dockercomp.protocol.signing import fingerprint
from dockercomp.protocol.views import ChunkView, ClientView, JobView, ReplicaView, StageView, TrustView
from server import eta, progress, reasons, wants
from server.eta import Runs, Sample
from server.lifecycle import Chunk
from server.reach import shortfall
from server.running import able_of, containers_of, full_quorum, only_people, rules_of, running_job, stages_of, unfit
from server.store.connection import Document

T = TypeVar("T")


def job(document: Document, pool: Sequence[Document]) -> JobView:
    """A job, with why it waits judged from the clients now alive."""
    counters = document.get("counters", {})
    result = document.get("result") or {}
    left = _remaining(document, pool)
    return JobView(
        id=document["_id"],
        name=document["name"],
        owner=document["owner"],
        state=document["state"],
        created=_when(document["created"]),
        ended=_when(document["ended"]) if document.get("ended") else None,
        stages=[_stage(document, number, stage) for number, stage in enumerate(stages_of(document))],
        image=msgspec.convert(document["image"], ImagePin),
        quorum=full_quorum(running_job(document).spec),
        results_returned=counters.get("returned", 0),
        results_wrong=counters.get("wrong", 0),
        failures=counters.get("failed", 0),
        error=document.get("error", ""),
        waiting=why_waiting(document, pool),
        result_size=result.get("size"),
        result_digest=result.get("digest"),
        eta_low_s=left[0] if left else None,
        eta_high_s=left[1] if left else None,
        missing=document.get("missing", []),
        missing_count=document.get("missing_count", 0),
        result_files=result.get("files", 0),
        reused=document.get("reused", 0),
        priority=document["spec"].get("priority", 0),
        plots=len(document["spec"].get("plots", [])),
        trust=trust(document),
        edition=document.get("edition", 1),
        withdrawn=document.get("withdrawn", ""),
        warning=document.get("warning", ""),
        wants=wants.said(running_job(document).spec, pool),
        scientist_key=fingerprint(document["scientist_key"]) if document.get("scientist_key") else "",
    )


def trust(document: Document) -> TrustView | None:
    """How wrong a job's result may be, as last stated."""
    return msgspec.convert(document["trust"], TrustView) if document.get("trust") else None


def _remaining(document: Document, pool: Sequence[Document]) -> tuple[float, float] | None:
    """Seconds until the present stages of a running job are done, as a range."""
    if document["state"] != "running" or not document.get("samples"):
        return None
    counters, running = document.get("counters", {}), running_job(document)
    open_stages = [number for number, stage in enumerate(running.stages) if stage["limit"] > 0]
    left = sum(running.stages[n]["total"] - int(counters.get(f"accepted_{n}", 0)) for n in open_stages)
    runs = Runs(int(counters.get("runs", 0)), counters.get("run_s", 0.0), counters.get("run_s2", 0.0))
    samples = [Sample(*each) for each in document["samples"]]
    containers = sum(containers_of(client) for client in able_of(running, pool))
    return eta.remaining(samples, left, containers, runs, rules_of(running.spec, 0).quorum)


def why_waiting(document: Document, pool: Sequence[Document]) -> str:
    """Why a running job cannot move with these clients, and the way out; empty where it can."""
    if document["state"] != "running":
        return ""
    if document.get("waits_for"):
        return f"its input is the result of {', '.join(document['waits_for'])}, which still runs"
    if document.get("held"):
        return f"{document['held']}: it goes on as these end"
    running = running_job(document)
    if only_people(running):
        return f"people's answers are awaited, in the dashboard at /tasks/{running.id}"
    if not pool:
        return "no client is connected: start a worker, or make an enrolment link for a volunteer"
    refusals = [unfit(running, client, (client.get("machine") or {}).get("platform", "")) for client in pool]
    able = [client for client, reason in zip(pool, refusals, strict=True) if not reason]
    if able:
        return shortfall(running.spec, able)
    return wants.nobody(running.spec, pool) or next(reason for reason in refusals if reason)


def chunk(found: Chunk, job: Document) -> ChunkView:
    return ChunkView(
        id=found.id,
        stage=job["stages"][str(found.stage)]["name"],
        index=found.index,
        state=found.state,
        reused_from=found.reused,
        error=found.error,
        digest=found.digest,
        size=found.size,
        quorum=found.quorum,
        replicas=[
            ReplicaView(
                note=reasons.beside(replica),
                client=replica.client,
                state="wrong" if replica.wrong else replica.state,
                digest=replica.digest,
                failure=f"{replica.failure.reason}: {replica.failure.message}" if replica.failure else "",
                log_head=replica.failure.log_head if replica.failure else replica.log,
                log_tail=replica.failure.log_tail if replica.failure else "",
                wall_s=replica.wall_s or None,
                cpu_s=replica.cpu_s or None,
            )
            for replica in found.replicas
        ],
    )


def client(document: Document, now: float, silent_after_s: float) -> ClientView:
    """A client as it was last heard of; `now` is the database's time."""
    ago = max(0.0, now - document["seen"])
    silent = ago - document.get("patience", 0.0) > silent_after_s
    state: Literal["alive", "silent", "retired"] = (
        "retired" if document["state"] == "retired" else "silent" if silent or document.get("leaving") else "alive"
    )
    counters = document.get("counters", {})
    containers = [] if state != "alive" else document.get("containers", [])
    machine, applied = _told(document.get("machine"), Machine), _told(document.get("applied"), AppliedAllocation)
    return ClientView(
        id=document["_id"],
        name=document["name"],
        owner=document["owner"],
        address=document.get("address", ""),
        state=state,
        seen_s_ago=round(ago, 1),
        status=document.get("status", ""),
        machine=machine,
        ceiling=_told(document.get("ceiling"), Ceiling),
        allocation=msgspec.convert(document["allocation"], Allocation),
        applied=applied,
        containers=[view for each in containers if (view := _told(each, ContainerReport)) is not None],
        marked=document.get("marked", ""),
        results_valid=counters.get("valid", 0),
        results_wrong=counters.get("wrong", 0),
        results_failed=counters.get("failed", 0),
        problems=document.get("problems", []),
        old=machine is not None and machine.worker not in ("", __version__),
        tags=document.get("tags", []),
        group=document.get("group", ""),
        follows=bool(document.get("group") and document.get("follows")),
        progress=progress.progress(document, applied, now),
    )


def _stage(document: Document, number: int, stage: Document) -> StageView:
    accepted = document.get("counters", {}).get(f"accepted_{number}", 0)
    return StageView(
        name=stage["name"],
        chunks=stage["total"],
        issued=stage["cursor"],
        accepted=min(accepted, stage["total"]),
    )


def _told(value: Any, kind: type[T]) -> T | None:
    """What a client told, as far as it can be read: one odd value must not hide the client."""
    try:
        return None if value is None else msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, ValueError, TypeError):
        return None


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
