"""Answers: JSON messages, problems, and ranged bytes with their checksum."""

import hashlib
import re

import msgspec
from flask import Request, Response, request

from dockercomp.protocol.errors import BadRequest, DockercompError, problem_of
from dockercomp.protocol.messages import PART_LIMIT
from dockercomp.protocol.parts import content_digest
from server.store.blobs import BlobReader, stream

_TYPES = {"svg": "image/svg+xml; charset=utf-8", "csv": "text/csv; charset=utf-8"}
_RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")


def message(body: object, status: int = 200, **headers: str) -> Response:
    """A message as JSON."""
    return Response(msgspec.json.encode(body), status, {**headers, "Content-Type": "application/json"})


def problem(error: DockercompError, request_id: str) -> Response:
    """An error as RFC 9457 problem+json."""
    headers = {"Content-Type": "application/problem+json"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(problem_of(error, request_id)), error.status, headers)


def plotted(drawn: str, form: str) -> Response:
    """A plot as `svg`, or its points as `csv`; not sent again to who has it."""
    response = Response(drawn, content_type=_TYPES[form])
    # By itself in a browser's window it may do no more than be looked at.
    response.headers["Content-Security-Policy"] = "default-src 'none'; img-src data:; sandbox"
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.make_conditional(request)
    return response


def ranged(request: Request, reader: BlobReader, **headers: str) -> Response:
    """The part asked for, at most PART_LIMIT, with Content-Range and Content-Digest; without a Range the whole."""
    wanted = request.headers.get("Range")
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    if wanted is None and reader.size > PART_LIMIT:
        response = Response(stream(reader), 200, {**headers, "Content-Length": str(reader.size)})
    elif wanted is None or reader.size == 0:
        data = reader.read_at(0, reader.size)
        response = Response(data, 200, {**headers, "Content-Digest": content_digest(data)})
    else:
        start, stop = _span(wanted, reader.size)
        data = reader.read_at(start, stop - start)
        headers["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/{reader.size}"
        response = Response(data, 206, {**headers, "Content-Digest": content_digest(data)})
    return response


def _span(wanted: str, size: int) -> tuple[int, int]:
    match = _RANGE.match(wanted)
    if match is None or int(match[1]) >= size:
        raise BadRequest(f"Range must be bytes=FIRST-[LAST] within {size} bytes; one range only")
    start = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if last < start:
        raise BadRequest("Range ends before it starts")
    return start, min(last + 1, size, start + PART_LIMIT)
