"""Routes of scientists: submitting, watching and fetching; images."""

import time
from typing import Any

from flask import Response, request

from dockercomp.machine.image_archive import ImageArchiveError, archive_pin
from dockercomp.protocol.errors import BadRequest, Forbidden, InvalidJob
from dockercomp.protocol.orders import ImagePin
from dockercomp.protocol.views import (
    Forecast,
    ImageList,
    ImagePull,
    ImageRegistration,
    ImageView,
    JobPage,
    JobView,
    SubmitRequest,
)
from server import describing, registries
from server.api.auditing import note
from server.api.responses import message
from server.api.services import Caller, Services
from server.forecast import forecast
from server.rights import Reach
from server.store.connection import Document
from server.store.images import pin_of


def submit(services: Services, caller: Caller, body: SubmitRequest) -> Response:
    key = request.headers.get("Idempotency-Key", "")[:128]
    services.allowances.check_job(caller.id, key)
    document = services.submission.submit(caller.id, body, key, _reach(services, caller))
    note(subject=document["_id"], detail=document["name"])
    return message(_view(services, document), 201, Location=f"/api/v1/jobs/{document['_id']}")


def _reach(services: Services, caller: Caller) -> Reach:
    return Reach(sees=caller.rights.sees, holds=services.possession.of(caller.id))


def job_forecast(services: Services, caller: Caller, body: SubmitRequest) -> Forecast:
    return forecast(services.submission, caller.id, body, _pool(services), _reach(services, caller))


def jobs(services: Services, caller: Caller, _: None) -> JobPage:
    limit = page_limit()
    found = services.store.jobs.page(_job_cursor(), limit, caller.rights.only_owner)
    pool = _pool(services)
    following = f"{found[-1]['created']!r},{found[-1]['_id']}" if len(found) == limit else None
    return JobPage(jobs=[describing.job(document, pool) for document in found], next=following)


def job(services: Services, caller: Caller, _: None, job: str) -> JobView:
    return _view(services, services.job(job))


def job_cancel(services: Services, caller: Caller, _: None, job: str) -> JobView:
    services.store.jobs.end(job, "cancelled", {"error": f"cancelled by {caller.id}"})
    return _view(services, services.job(job))


def images(services: Services, caller: Caller, _: None) -> ImageList:
    return ImageList(images=[_image(document) for document in services.store.images.all()])


def image_register(services: Services, caller: Caller, body: ImageRegistration) -> Response:
    note(subject=body.name, detail=body.archive)
    if not services.possession.holds(caller.id, body.archive):
        raise InvalidJob("the image's archive was not uploaded; upload it first")
    try:
        config_digest, platform = archive_pin(services.settings.home / "blobs" / body.archive[:2] / body.archive)
    except ImageArchiveError as error:
        raise InvalidJob(str(error)) from error
    pin = ImagePin(name=body.name.removesuffix(":latest"), config_digest=config_digest, platform=platform)
    return _registered(services, caller, pin, body.archive)


def image_pull(services: Services, caller: Caller, body: ImagePull) -> Response:
    note(subject=body.name, detail=body.platform)
    _check_owner(services, caller, body.name.removesuffix(":latest"))
    pulled = registries.pull(services.settings, services.store.blobs, body.name.removesuffix(":latest"), body.platform)
    return _registered(services, caller, pulled.pin, pulled.archive)


def _registered(services: Services, caller: Caller, pin: ImagePin, archive: str) -> Response:
    """Store what the image is called from now on. Raises Forbidden."""
    _check_owner(services, caller, pin.name)
    services.allowances.check_image(caller.id, f"{pin.name} {pin.platform}")
    document: Document = {
        "_id": f"{pin.name} {pin.platform}",
        "name": pin.name,
        "platform": pin.platform,
        "config_digest": pin.config_digest,
        "source": pin.source,
        "archive": archive,
        "size": services.store.blobs.received(archive),
        "owner": caller.id,
        "created": time.time(),
    }
    services.store.images.register(document)
    return message(_image(document), 201)


def _check_owner(services: Services, caller: Caller, name: str) -> None:
    before = services.store.images.named(name)
    if before is not None and caller.role != "admin" and before.get("owner") != caller.id:
        raise Forbidden(f"the image {name} was registered by another; choose another name, or ask an admin")


def page_limit() -> int:
    """?limit=, 1 to 500, 100 by default."""
    value = request.args.get("limit", "100")
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value) <= 500:
        raise BadRequest("?limit= is a number from 1 to 500")
    return int(value)


def _job_cursor() -> tuple[float, str] | None:
    value = request.args.get("cursor", "")
    if not value:
        return None
    created, _, last = value.partition(",")
    try:
        return float(created), last
    except ValueError:
        raise BadRequest("?cursor= is the `next` of the page before") from None


def _view(services: Services, document: Document) -> JobView:
    return describing.job(document, _pool(services))


def _pool(services: Services) -> list[Document]:
    return services.store.clients.alive_since(services.store.duties.now() - services.settings.silent_after_s)


def _image(document: Document) -> ImageView:
    return ImageView(pin=pin_of(document), archive=document["archive"], size=document["size"])


HANDLERS: dict[str, Any] = {
    "submit": submit,
    "job_forecast": job_forecast,
    "jobs": jobs,
    "job": job,
    "job_cancel": job_cancel,
    "images": images,
    "image_register": image_register,
    "image_pull": image_pull,
}
