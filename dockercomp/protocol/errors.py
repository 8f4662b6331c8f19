"""The error tree. Each error has one code and one HTTP status; the table is read both ways.

DockercompError
├── BadRequest            400  the request cannot be read
│   ├── InvalidJob        422  a job file or submission that cannot run
│   ├── InvalidAllocation 422  an allocation out of range
│   ├── NotPlottable      422  a plot whose data is not what it needs
│   ├── ChecksumMismatch  422  bytes arrived that are not what their digest says
│   ├── LengthRequired    411  a body of unknown length
│   └── ProtocolUnsupported 400
├── Unauthorized          401  no or wrong credentials
├── Forbidden             403  known, but not allowed
│   └── QuotaExceeded     403  allowed, but for the caller's quota
├── NotFound              404
│   └── UnknownImage      422  no such image on the master
├── Conflict              409  contradicts what is stored
│   └── StaleSync         409  a sync older than one already answered
├── PreconditionFailed    412  changed by someone else meanwhile
├── TooLarge              413
├── Busy                  429  come again after `retry_after` seconds
└── Unavailable           503  the store cannot be reached
"""

from typing import ClassVar

import msgspec


class DockercompError(Exception):
    """Base of all errors that cross the wire. `str(error)` says what, why and what to do next."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "The master failed"

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after


class BadRequest(DockercompError):
    """The request cannot be read: malformed, truncated, or of the wrong shape."""

    status, code, title = 400, "bad_request", "The request cannot be read"


class InvalidJob(BadRequest):
    """A job that could not run: raised at submission, before anything is stored."""

    status, code, title = 422, "invalid_job", "This job cannot run"


class InvalidAllocation(BadRequest):
    """An allocation that is not a possible one, such as zero CPUs or more than the ceiling."""

    status, code, title = 422, "invalid_allocation", "This allocation is not possible"


class NotPlottable(BadRequest):
    """A declared plot cannot be drawn: the data is no table, or lacks a column. The result itself is not touched."""

    status, code, title = 422, "not_plottable", "This plot cannot be drawn"


class ChecksumMismatch(BadRequest):
    """Bytes arrived that are not what their digest says; nothing was stored, send them again."""

    status, code, title = 422, "checksum_mismatch", "The bytes do not match their checksum"


class ProtocolUnsupported(BadRequest):
    """The worker speaks another version of the sync contract; install the worker again from this master."""

    status, code, title = 400, "protocol_unsupported", "This worker is of another version"


class MethodNotAllowed(BadRequest):
    """The URL is right, the method is not."""

    status, code, title = 405, "method_not_allowed", "This URL does not take this method"


class LengthRequired(BadRequest):
    """A body whose length is not said beforehand; nothing was read."""

    status, code, title = 411, "length_required", "The body's length is missing"


class Unauthorized(DockercompError):
    """No credentials, or wrong ones."""

    status, code, title = 401, "unauthorized", "Credentials are missing or wrong"


class Forbidden(DockercompError):
    """The credentials are right, but do not allow this."""

    status, code, title = 403, "forbidden", "Not allowed"


class QuotaExceeded(Forbidden):
    """It does not fit into the caller's quota; the detail has the numbers and the way out."""

    status, code, title = 403, "quota_exceeded", "Your quota is used up"


class NotFound(DockercompError):
    """There is no such thing, or it is not yours to see."""

    status, code, title = 404, "not_found", "There is no such thing"


class UnknownImage(NotFound):
    """A job names an image that the master does not have; push it first."""

    status, code, title = 422, "unknown_image", "The master does not have this image"


class Conflict(DockercompError):
    """Contradicts what is stored."""

    status, code, title = 409, "conflict", "Contradicts what is stored"


class StaleSync(Conflict):
    """A sync that is older than one already answered, or two daemons that share one identity."""

    status, code, title = 409, "stale_sync", "An older sync than the last one answered"


class PreconditionFailed(DockercompError):
    """The thing was changed by someone else since it was read; read it again."""

    status, code, title = 412, "precondition_failed", "Changed by someone else meanwhile"


class TooLarge(DockercompError):
    """The body is over the route's limit."""

    status, code, title = 413, "too_large", "The body is too large"


class Busy(DockercompError):
    """All places for this kind of request are taken; nothing was read, come again after `retry_after` seconds."""

    status, code, title = 429, "busy", "Busy, come again"


class Unavailable(DockercompError):
    """The store cannot be reached now; nothing was stored."""

    status, code, title = 503, "unavailable", "The store cannot be reached"


def _tree(cls: type[DockercompError]) -> list[type[DockercompError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in _tree(sub))]


BY_CODE: dict[str, type[DockercompError]] = {cls.code: cls for cls in _tree(DockercompError)}
BY_STATUS: dict[int, type[DockercompError]] = {
    cls.status: cls
    for cls in (
        DockercompError,
        BadRequest,
        MethodNotAllowed,
        LengthRequired,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        PreconditionFailed,
        TooLarge,
        Busy,
        Unavailable,
    )
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error answer: RFC 9457 `application/problem+json`."""

    type: str = "about:blank"
    title: str = ""
    status: int = 500
    code: str = ""
    detail: str = ""
    request: str = ""
    """Id of the request, as it stands in the master's log."""


def problem_of(error: DockercompError, request: str = "") -> Problem:
    """The wire form of an error."""
    return Problem(title=error.title, status=error.status, code=error.code, detail=error.detail, request=request)


def error_of(status: int, body: bytes, retry_after: float | None = None) -> DockercompError:
    """The error that an HTTP answer stands for, also where the body is not ours (a proxy's page): then no refusal is
    taken for the master's, which alone judges credentials."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        problem = Problem(status=status, detail=f"HTTP {status}")
    if status in (Unauthorized.status, Forbidden.status) and not problem.code:
        return DockercompError(
            f"HTTP {status} came from something in between (a proxy, a login page of the network), not from the master:"
            " look at the proxy settings and at the way to the master",
            retry_after=retry_after,
        )
    cls = BY_CODE.get(problem.code) or BY_STATUS.get(status, DockercompError)
    return cls(problem.detail, retry_after=retry_after)
