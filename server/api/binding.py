"""Binds the table of routes to handlers: credentials, limits, decoding and errors are the same for all of them.

A handler is `def name(services, caller, message, **parts)`, where `message` is the decoded body or None; it returns a
message or a whole Response. A route without a handler, or a handler without a route, stops the master at its start.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from dockercomp.protocol.errors import (
    BadRequest,
    Busy,
    DockercompError,
    LengthRequired,
    TooLarge,
    Unauthorized,
    error_of,
)
from dockercomp.protocol.routes import ROUTES, Route
from server.api import auditing
from server.api.authentication import admit
from server.api.responses import message as answer
from server.api.responses import problem
from server.api.services import Caller, Services
from server.arrival import WHOLE

Handler = Callable[..., Any]

_log = structlog.get_logger("api")

_TOO_MANY_TO_LOG = frozenset({"sync", "healthz", "readyz", "metrics", "lease_input", "blob_put"})
"""Counted and timed by the metrics; in the log only where they fail."""

_CUT_OFF = "the body did not arrive whole: it was cut off, or stalled"

BODY_DEADLINE_S = 20.0
"""Longest silence of a caller in the middle of its body, or while it reads an answer."""


def bind(app: Flask, services: Services, handlers: Mapping[str, Handler]) -> None:
    """Register every route of the table. Raises LookupError where table and handlers differ."""
    names = {route.name for route in ROUTES}
    if names != set(handlers):
        raise LookupError(f"routes and handlers differ: {sorted(names ^ set(handlers))}")
    blueprint = Blueprint("api", __name__)
    for route in ROUTES:
        blueprint.add_url_rule(
            route.path, route.name, _view(route, handlers[route.name], services), methods=[route.method]
        )
    app.register_blueprint(blueprint)
    app.before_request(_begin)
    app.after_request(lambda response: _end(response, services))
    app.register_error_handler(Exception, _problem_of)


def _view(route: Route, handler: Handler, services: Services) -> Callable[..., Response]:
    decoder: msgspec.json.Decoder[Any] | None = msgspec.json.Decoder(route.request) if route.request else None

    def view(**parts: str) -> Response:
        _bound_body(route)
        with auditing.entry(services, route.name if route.audited else "", parts):
            caller = admit(request, services, route, parts)
            if route.name == "sync":
                _admit_sync(services, caller)
            services.limits.count(route.name, caller.address, f"{caller.kind} {caller.id}" if caller.id else "")
            if route.transfer:
                _take_place(services)
            body = _decoded(decoder, read_body()) if decoder is not None else None
            result = handler(services, caller, body, **parts)
        return result if isinstance(result, Response) else answer(result)

    view.__qualname__ = f"view.{route.name}"  # what rate limits are kept by
    return view


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Raises BadRequest, msgspec.DecodeError."""
    try:
        return decoder.decode(body)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec does not count them among its own
        raise BadRequest(f"the body is not what this route takes: {error}") from error


def _admit_sync(services: Services, caller: Caller) -> None:
    """A body that has yet to come is waited for only behind the right secret; else the sync itself checks it."""
    services.pace.count(caller.id, caller.secret_hash, time.monotonic())
    if (request.content_length or 0) > WHOLE and not services.store.clients.authentic(caller.id, caller.secret_hash):
        raise Unauthorized("unknown client, wrong secret, or retired: enrol again with an enrolment token")


def _take_place(services: Services) -> None:
    """One of the places for transfers, given back when the answer is sent. Raises Busy before the body is read."""
    if not services.transfers.acquire(blocking=False):
        raise Busy("every place for transfers is taken; nothing was read, come again", retry_after=1)
    g.release_place = services.transfers.release


def _bound_body(route: Route) -> None:
    """Refuse what is too large before reading it."""
    request.max_content_length = route.body_limit
    if (request.content_length or 0) > route.body_limit:
        raise TooLarge(f"the body is {request.content_length} bytes; at most {route.body_limit} are taken here")


def read_body() -> bytes:
    """The whole body. Raises BadRequest where it does not arrive whole and in time."""
    length = request.content_length
    try:
        if length is None:
            return request.get_data(cache=False)
        body: bytes = request.environ["wsgi.input"].read(length)  # Werkzeug's own stream copies it three times
    except (TimeoutError, ClientDisconnected, OSError) as error:
        raise BadRequest(_CUT_OFF) from error
    if len(body) < length:
        raise BadRequest(_CUT_OFF)
    return body


def _begin() -> None:
    g.request_id = secrets.token_hex(6)
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=g.request_id)
    job = (request.view_args or {}).get("job")
    if job:
        structlog.contextvars.bind_contextvars(job=job)
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(BODY_DEADLINE_S)
    _check_query()
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired("a body's length must be said beforehand, in Content-Length; nothing was read")


def _check_query() -> None:
    """Whoever reads a part of the query would fail otherwise, error pages too."""
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        raise BadRequest("what follows the question mark is not UTF-8: percent-encode it") from None


def _end(response: Response, services: Services) -> Response:
    release = g.pop("release_place", None)
    if release is not None:
        response.call_on_close(release)
    response.headers["X-Request-Id"] = g.get("request_id", "")
    route = (request.endpoint or "unknown").removeprefix("api.")
    services.metrics.requests.labels(route, response.status_code).inc()
    seconds = time.perf_counter() - g.get("started", 0.0)
    services.metrics.request_seconds.labels(route).observe(seconds)
    if request.blueprint == "api" and route not in _TOO_MANY_TO_LOG:
        _log.info("request", route=route, status=response.status_code, ms=round(1000 * seconds, 1))
    return response


def _problem_of(error: Exception) -> Response:
    if isinstance(error, DockercompError):
        found = error
    elif isinstance(error, msgspec.DecodeError):
        found = BadRequest(f"the body is not what this route takes: {error}")
    elif isinstance(error, RequestEntityTooLarge):
        found = TooLarge()
    elif isinstance(error, HTTPException) and error.code is not None:
        found = error_of(error.code, b"")
        found.detail = error.description or found.title
    else:
        _log.exception("a request failed", path=request.path)
        found = DockercompError("the master failed; its log has the details under this request's id")
    if found.status >= 500:
        _log.error("request refused", path=request.path, status=found.status, detail=found.detail)
    return problem(found, g.get("request_id", ""))
