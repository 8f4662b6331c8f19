"""Routes of admins: clients, what they are given, and how new ones come."""

from datetime import datetime, timedelta, timezone
from typing import Any

from flask import Response, request

from dockercomp.protocol.errors import BadRequest, NotFound
from dockercomp.protocol.views import AllocationChange, ClientPage, LoginLink, TokenAnswer, TokenRequest
from server import describing
from server.api.jobs import page_limit
from server.api.responses import message
from server.api.services import Caller, Services
from server.people import People
from server.store.connection import Document


def clients(services: Services, caller: Caller, _: None) -> ClientPage:
    limit = page_limit()
    found = services.store.clients.page(request.args.get("cursor", ""), limit)
    now = services.store.duties.now()
    views = [describing.client(document, now, services.settings.silent_after_s) for document in found]
    return ClientPage(clients=views, next=found[-1]["_id"] if len(found) == limit else None)


def client(services: Services, caller: Caller, _: None, client: str) -> Response:
    document = _client(services, client)
    view = describing.client(document, services.store.duties.now(), services.settings.silent_after_s)
    return message(view, ETag=f'"{view.allocation.version}"')


def client_allocate(services: Services, caller: Caller, body: AllocationChange, client: str) -> Response:
    document = _client(services, client)
    wanted = request.headers.get("If-Match", "").strip('" ')
    if wanted and not wanted.isdigit():
        raise BadRequest('If-Match is the ETag that was read, such as "3"')
    version = int(wanted) if wanted else int(document["allocation"]["version"])
    allocation = services.enrolment.allocate(document, body, version)
    return message(allocation, ETag=f'"{allocation.version}"')


def enrolment_token(services: Services, caller: Caller, body: TokenRequest) -> Response:
    return message(invitation(services, body), 201)


def invitation(services: Services, body: TokenRequest) -> TokenAnswer:
    """A new enrolment token, its link and the command for volunteers. Raises BadRequest as make_enrolment_token."""
    token = make_enrolment_token(services, body)
    link = f"{services.settings.url}/installer.sh?token={token}"
    return TokenAnswer(token=token, link=link, command=f"curl -fsSL '{link}' | sh")


def make_enrolment_token(services: Services, body: TokenRequest) -> str:
    """Raises BadRequest where owner, uses or validity make no sense."""
    if not body.owner.strip() or not 1 <= body.uses <= 1_000_000 or not 0 < body.valid_hours <= 24 * 366 * 10:
        raise BadRequest("a token needs an owner, 1 to 1,000,000 uses, and at most ten years of validity")
    return services.store.credentials.make(
        "enrolment",
        datetime.now(timezone.utc),
        timedelta(hours=body.valid_hours),
        owner=body.owner.strip(),
        uses=body.uses,
        trusted=body.trusted,
        requests=[],
    )


def login_link(services: Services, caller: Caller, _: None) -> Response:
    return message(LoginLink(link=People(services.store).login_link(caller.id, services.settings.url)), 201)


def _client(services: Services, client: str) -> Document:
    found = services.store.clients.by_id(client)
    if found is None:
        raise NotFound(f"there is no client {client}")
    return found


HANDLERS: dict[str, Any] = {
    "clients": clients,
    "client": client,
    "client_allocate": client_allocate,
    "enrolment_token": enrolment_token,
    "login_link": login_link,
}
