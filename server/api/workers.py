"""Routes of workers: enrolling, the sync, and what a lease lets them read."""

from dataclasses import replace
from typing import Any

import msgspec
from flask import Response, request

from dockercomp.protocol.errors import Conflict, Forbidden, NotFound
from dockercomp.protocol.messages import EnrolAnswer, EnrolRequest, Piece, SyncAnswer, SyncRequest
from dockercomp.protocol.orders import JobSpec
from server import lifecycle
from server.api import auditing
from server.api.responses import ranged
from server.api.services import Caller, Services
from server.inputs import ChunkInput


def enrol(services: Services, caller: Caller, body: EnrolRequest) -> EnrolAnswer:
    answer = services.enrolment.enrol(body, caller.address)
    auditing.by(replace(caller, kind="client", id=answer.client))
    auditing.note(subject=answer.client, detail=f"{body.machine.hostname}, of {answer.owner}")
    return answer


def sync(services: Services, caller: Caller, body: SyncRequest) -> SyncAnswer:
    return services.sync.answer(caller.id, caller.secret_hash, body, caller.address)


def client_retire(services: Services, caller: Caller, _: None) -> Response:
    services.scheduling.take_back(caller.id)
    services.store.clients.retire_one(caller.id)
    services.scheduling.take_back(caller.id)  # what a sync under way has granted meanwhile
    return Response(status=204)


def lease_input(services: Services, caller: Caller, _: None, lease: str) -> Response:
    return ranged(request, _leased_input(services, caller, lease))


def lease_pieces(services: Services, caller: Caller, _: None, lease: str) -> list[Piece]:
    return _leased_input(services, caller, lease).pieces or []


def job_program(services: Services, caller: Caller, _: None, job: str) -> Response:
    document = services.job(job)
    if not document["program"]:
        raise NotFound("this job has no program folder")
    return ranged(request, services.store.blobs.open(document["program"]))


def job_image(services: Services, caller: Caller, _: None, job: str) -> Response:
    image = services.store.images.pinned(services.job(job)["image"]["config_digest"])
    if image is None:
        raise NotFound("the master no longer has this job's image")
    return ranged(request, services.store.blobs.open(image["archive"]))


def _leased_input(services: Services, caller: Caller, lease: str) -> ChunkInput:
    """The input of a lease that the caller holds now. Raises Forbidden where it is another's, NotFound where it has
    ended, Conflict where what it reads is gone."""
    if not lease.startswith(f"{caller.id}."):
        raise Forbidden("this lease is another client's")
    chunk = services.store.chunks.by_id(lifecycle.chunk_of_lease(lease))
    if chunk is None or lease not in lifecycle.live_leases(chunk):
        raise NotFound("this lease has ended")
    document = services.job(chunk.job)
    try:
        found = services.inputs.open(document, msgspec.convert(document["spec"], JobSpec), chunk)
    except NotFound as error:  # told apart from a lease that has ended: this is a failure, to be counted
        raise Conflict(str(error)) from error
    if found is None:
        raise NotFound("this chunk has no input: its numbers stand in the lease")
    return found


HANDLERS: dict[str, Any] = {
    "enrol": enrol,
    "sync": sync,
    "client_retire": client_retire,
    "lease_input": lease_input,
    "lease_pieces": lease_pieces,
    "job_program": job_program,
    "job_image": job_image,
}
