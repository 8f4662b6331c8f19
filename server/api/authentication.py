"""Who calls, and whether a route lets them: the one place that decides, for the API and for the dashboard's pages."""

import re
from collections.abc import Mapping
from datetime import datetime, timezone

from flask import Request
from flask_login import current_user

from dockercomp.protocol.errors import Forbidden, NotFound, Unauthorized
from dockercomp.protocol.people import Scope
from dockercomp.protocol.routes import Route, Who
from server.api import auditing
from server.api.services import Caller, Services
from server.store.credentials import secret_hash

_ALLOWED: dict[Who, frozenset[str]] = {
    "public": frozenset({"nobody", "client", "user"}),
    "client": frozenset({"client"}),
    "user": frozenset({"user"}),
    "admin": frozenset({"user"}),
    "user or client": frozenset({"client", "user"}),
}
_OF_A_JOB = ("job", "chunk", "subject")
"""Parts of a path that name a job, or something of one by an id that begins with the job's."""
_JOB_ID = re.compile(r"j[0-9a-f]{10}")
"""What a subject must look like to be a job: a client may be called `jeff`."""


def admit(request: Request, services: Services, route: Route, parts: Mapping[str, str]) -> Caller:
    """The caller, if the route lets it in and what its path names exists for it.

    Raises Unauthorized without (right) credentials, Forbidden with others' rights, NotFound for others' jobs. A sync's
    secret is checked by the sync itself, in the round trip that renews the client.
    """
    caller = auditing.by(identify(request, services, route.who))
    if caller.kind == "user":
        check_scope(caller, route.scope)
    if caller.kind != "nobody":
        check_jobs(caller, services, parts, changes=route.scope != "read")
    return caller


def identify(request: Request, services: Services, who: Who) -> Caller:
    """The caller, if it is of the kind that `who` lets in."""
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
    return caller


def check_scope(caller: Caller, needed: Scope) -> None:
    """Raises Forbidden where role and token do not both grant it; says which of them does not."""
    if caller.rights.may(needed):
        return
    if needed == "admin" and caller.role != "admin":
        raise Forbidden("this is for admins")
    if caller.role == "viewer" and needed != "read":
        raise Forbidden("a viewer may look, and change nothing")
    raise Forbidden(f"this token's scope is {caller.scope}, which does not allow it: use one of scope {needed}")


def check_jobs(caller: Caller, services: Services, parts: Mapping[str, str], *, changes: bool) -> None:
    """The rule of jobs: a person reaches those that they may see, and changes those that they may change; a client
    reaches those of which it holds a lease. Raises NotFound, Forbidden."""
    for name in _OF_A_JOB:
        job = parts.get(name, "").partition(".")[0]
        if name == "subject" and not _JOB_ID.fullmatch(job):
            continue
        if name in parts:
            _check_job(caller, services, job, changes)


def _check_job(caller: Caller, services: Services, job: str, changes: bool) -> None:
    if caller.kind == "client":
        if not services.store.chunks.holds_lease_of(caller.id, job):
            raise NotFound(f"this client holds no lease of a job {job}")
        return
    if caller.rights.sees_all and not changes:
        return  # whether there is one, the handler finds out
    owner = services.store.jobs.owner_of(job)
    if owner is None or not caller.rights.sees(owner):
        raise NotFound(f"there is no job {job}{'' if caller.rights.sees_all else ' of yours'}")
    if changes and not caller.rights.changes(owner):
        raise Forbidden(f"job {job} is {owner}'s: only they, or an admin by a token of scope admin, can change it")


def _by_token(token: str, services: Services, address: str, *, checked_later: bool) -> Caller:
    client, dot, secret = token.partition(".")
    if dot:
        hashed = secret_hash(secret)
        if not checked_later and services.store.clients.authentic(client, hashed) is None:
            raise Unauthorized("unknown client, wrong secret, or retired: enrol again with an enrolment token")
        return Caller("client", id=client, secret_hash=hashed, address=address)
    now = datetime.now(timezone.utc)
    found = services.store.credentials.of_person("api", token, now)
    if found is None:
        raise Unauthorized("this token is not valid: wrong, expired or revoked")
    services.store.credentials.note_use(found, now)
    return Caller(
        "user",
        id=found["user"],
        role=found["person"]["role"],
        scope=found.get("scope", "admin"),
        own=bool(found.get("own")),
        by=found.get("id", ""),
        expires=found["expires"].replace(tzinfo=timezone.utc),
        address=address,
    )


def _by_session(request: Request) -> Caller:
    """A person at the dashboard. A cookie only lets read here: the dashboard's forms, which change things, carry a
    CSRF token and have routes of their own."""
    if not current_user.is_authenticated or request.method not in ("GET", "HEAD"):
        raise Unauthorized("credentials are missing: send `Authorization: Bearer TOKEN`")
    return in_session(request)


def in_session(request: Request) -> Caller:
    """The person who is logged in."""
    role, address = current_user.role, request.remote_addr or ""
    return Caller("user", id=current_user.id, role=role, by="session", address=address)
