"""Routes of uploads: resumable, in checked parts."""

from typing import Any

from flask import request

from dockercomp.protocol.errors import BadRequest, ChecksumMismatch, Forbidden
from dockercomp.protocol.messages import INLINE_LIMIT
from dockercomp.protocol.parts import content_digest
from dockercomp.protocol.views import BlobStatus, DigestList
from server.api.binding import read_body
from server.api.services import Caller, Services
from server.store.blobs import check_digest

_LARGEST = 1 << 44
_MOST_ASKED = 10_000


def blob_status(services: Services, caller: Caller, _: None, digest: str) -> BlobStatus:
    check_digest(digest)
    _may_upload(services, caller, digest)
    if caller.kind == "user":
        return services.possession.status(caller.id, digest)
    return _status(services, digest)


def blobs_missing(services: Services, caller: Caller, body: DigestList) -> DigestList:
    if len(body.digests) > _MOST_ASKED:
        raise BadRequest(f"ask for at most {_MOST_ASKED:,} blobs at once")
    return DigestList(digests=services.possession.missing(caller.id, [check_digest(each) for each in body.digests]))


def blob_put(services: Services, caller: Caller, _: None, digest: str) -> BlobStatus:
    check_digest(digest)
    offset, size = _number("offset"), _number("size")
    _may_upload(services, caller, digest, size)
    if caller.kind == "user":
        services.allowances.begin_upload(caller.id, digest, size)
    data = read_body()
    if request.headers.get("Content-Digest") != content_digest(data):
        raise ChecksumMismatch("the part is not what its Content-Digest says; nothing was stored, send it again")
    if caller.kind == "user":
        return services.possession.take(caller.id, digest, offset, size, data)
    services.store.blobs.append(digest, offset, size, data)
    return _status(services, digest)


def _status(services: Services, digest: str) -> BlobStatus:
    blobs = services.store.blobs
    return BlobStatus(digest=digest, offset=blobs.received(digest), complete=blobs.has(digest))


def _may_upload(services: Services, caller: Caller, digest: str, size: int | None = None) -> None:
    """A person may upload anything; a client only a result to which it has committed, of the size it named then."""
    if caller.kind != "client":
        return
    committed = services.store.chunks.committed(caller.id, digest)
    if committed is None or size not in (None, committed):
        raise Forbidden(
            f"no result of yours with this digest and size is awaited (results up to {INLINE_LIMIT} bytes ride along)"
        )


def _number(name: str) -> int:
    value = request.args.get(name, "")
    if not (value.isascii() and value.isdigit()) or int(value) > _LARGEST:
        raise BadRequest(f"?{name}= must be a number of bytes")
    return int(value)


HANDLERS: dict[str, Any] = {"blob_status": blob_status, "blobs_missing": blobs_missing, "blob_put": blob_put}
