"""Routes of workers: enrolling, the sync, and what a lease lets them read."""

from typing import Any

import msgspec
from flask import Response, request

from dockercomp.protocol.errors import Forbidden, NotFound
from dockercomp.protocol.messages import EnrolAnswer, EnrolRequest, Piece, SyncAnswer, SyncRequest
from dockercomp.protocol.orders import JobSpec
from server import lifecycle
from server.api.responses import ranged
from server.api.services import Caller, Services
from server.inputs import ChunkInput
from server.store.connection import Document


def enrol(services: Services, caller: Caller, body: EnrolRequest) -> EnrolAnswer:
    return services.enrolment.enrol(body, caller.address)


def sync(services: Services, caller: Caller, body: SyncRequest) -> SyncAnswer:
    return services.sync.answer(caller.id, caller.secret_hash, body, caller.address)


def lease_input(services: Services, caller: Caller, _: None, lease: str) -> Response:
    return ranged(request, _leased_input(services, caller, lease))


def lease_pieces(services: Services, caller: Caller, _: None, lease: str) -> list[Piece]:
    return _leased_input(services, caller, lease).pieces or []


def job_program(services: Services, caller: Caller, _: None, job: str) -> Response:
    document = _job(services, job)
    if not document["program"]:
        raise NotFound("this job has no program folder")
    return ranged(request, services.store.blobs.open(document["program"]))


def job_image(services: Services, caller: Caller, _: None, job: str) -> Response:
    image = services.store.images.pinned(_job(services, job)["image"]["config_digest"])
    if image is None:
        raise NotFound("the master no longer has this job's image")
    return ranged(request, services.store.blobs.open(image["archive"]))


def _leased_input(services: Services, caller: Caller, lease: str) -> ChunkInput:
    """The input of a lease that the caller holds now. Raises Forbidden where it is another's."""
    if not lease.startswith(f"{caller.id}."):
        raise Forbidden("this lease is another client's")
    chunk = services.store.chunks.by_id(lifecycle.chunk_of_lease(lease))
    if chunk is None or lease not in lifecycle.live_leases(chunk):
        raise NotFound("this lease has ended")
    document = _job(services, chunk.job)
    found = services.inputs.open(document, msgspec.convert(document["spec"], JobSpec), chunk)
    if found is None:
        raise NotFound("this chunk has no input: its numbers stand in the lease")
    return found


def _job(services: Services, job: str) -> Document:
    found = services.store.jobs.by_id(job)
    if found is None:
        raise NotFound(f"there is no job {job}")
    return found


HANDLERS: dict[str, Any] = {
    "enrol": enrol,
    "sync": sync,
    "lease_input": lease_input,
    "lease_pieces": lease_pieces,
    "job_program": job_program,
    "job_image": job_image,
}
