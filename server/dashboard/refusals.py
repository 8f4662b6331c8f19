"""Errors as pages that say what is wrong and what to do; for the API they stay problems."""

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from dockercomp.protocol.errors import DockercompError, NotFound
from server.api.responses import problem

_log = structlog.get_logger("dashboard")

_CSRF = (
    "This form is no longer valid: you were logged out, or logged in again, since the page was loaded. Load it again."
)
_TOO_OFTEN = (
    "Too many attempts from your address, or for this name. Wait a minute, then try again. A login link always works:"
    " on the master's machine, server/start --login-link prints one for an admin."
)
_FAILED = "The master failed. Its log has the details under this request's id."


def answer_as_pages(blueprint: Blueprint) -> None:
    """Whatever a view of this blueprint raises is shown as a page."""
    blueprint.register_error_handler(Exception, _page_of)


def unknown_addresses(app: Flask) -> None:
    """An address that is not ours: a page for browsers, a problem for programs."""
    app.register_error_handler(404, lambda error: _unknown())


def _unknown() -> Response:
    if request.path.startswith("/api/") or not request.accept_mimetypes.accept_html:
        return problem(NotFound(f"there is nothing at {request.path}"), g.get("request_id", ""))
    return _page(404, "There is no such thing", "There is no such page here.")


def _page_of(error: Exception) -> Response:
    if isinstance(error, DockercompError):
        return _page(error.status, error.title, str(error))
    if isinstance(error, CSRFError):
        return _page(400, "Load the page again", _CSRF)
    if isinstance(error, HTTPException) and error.code == 429:
        return _page(429, "Too many attempts", _TOO_OFTEN)
    if isinstance(error, HTTPException):
        return _page(error.code or 500, error.name, error.description or "")
    _log.exception("a page failed", path=request.path)
    return _page(500, "The master failed", _FAILED)


def _page(status: int, title: str, detail: str) -> Response:
    # Not by render_template, which asks the store who is logged in: the store may be what failed.
    template = current_app.jinja_env.get_template("dashboard/refusal.html")
    return Response(template.render(title=title, detail=detail, request_id=g.get("request_id", "")), status)
