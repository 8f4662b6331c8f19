"""Who calls, and whether a route lets them: the one place that decides."""

from datetime import datetime, timezone

from flask import Request
from flask_login import current_user

from dockercomp.protocol.errors import Forbidden, Unauthorized
from dockercomp.protocol.routes import Who
from server.api.services import Caller, Services
from server.store.credentials import secret_hash

_ALLOWED: dict[Who, frozenset[str]] = {
    "public": frozenset({"nobody", "client", "user"}),
    "client": frozenset({"client"}),
    "user": frozenset({"user"}),
    "admin": frozenset({"user"}),
    "user or client": frozenset({"client", "user"}),
}


def identify(request: Request, services: Services, who: Who) -> Caller:
    """The caller, if `who` lets it in. Raises Unauthorized without (right) credentials, Forbidden with others' rights.

    A sync's secret is checked by the sync itself, in the round trip that renews the client.
    """
    address = request.remote_addr or ""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if who == "public":
        return Caller("nobody", address=address)
    if token:
        caller = _by_token(token, services, address, checked_later=request.endpoint == "api.sync")
    else:
        caller = _by_session(request)
    if caller.kind not in _ALLOWED[who]:
        raise Forbidden(f"this is for {who}s; these credentials are a {caller.kind}'s")
    if caller.role == "viewer" and request.method not in ("GET", "HEAD"):
        raise Forbidden("a viewer may look, and change nothing")
    if who == "admin" and caller.role != "admin":
        raise Forbidden("this is for admins")
    return caller


def _by_token(token: str, services: Services, address: str, *, checked_later: bool) -> Caller:
    client, dot, secret = token.partition(".")
    if dot:
        hashed = secret_hash(secret)
        if not checked_later and services.store.clients.authentic(client, hashed) is None:
            raise Unauthorized("unknown client, wrong secret, or retired: enrol again with an enrolment token")
        return Caller("client", id=client, secret_hash=hashed, address=address)
    found = services.store.credentials.find("api", token, datetime.now(timezone.utc))
    if found is None:
        raise Unauthorized("this token is not valid (wrong or expired)")
    return Caller("user", id=found["user"], role=found["role"], address=address)


def _by_session(request: Request) -> Caller:
    """A person at the dashboard. A cookie only lets read here: the dashboard's forms, which change things, carry a
    CSRF token and have routes of their own."""
    if not current_user.is_authenticated or request.method not in ("GET", "HEAD"):
        raise Unauthorized("credentials are missing: send `Authorization: Bearer TOKEN`")
    return Caller("user", id=current_user.id, role=current_user.role)
