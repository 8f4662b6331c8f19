"""Routes of admins: clients, what they are given, and how new ones come."""

from datetime import datetime, timedelta, timezone
from typing import Any

from flask import Response, request

from dockercomp.protocol.errors import BadRequest, NotFound
from dockercomp.protocol.messages import LONGEST_SENTENCE
from dockercomp.protocol.people import Revoked
from dockercomp.protocol.views import (
    AllocationChange,
    AllocationHistory,
    ClientPage,
    ClientView,
    Forgiveness,
    LoginLink,
    TagsChange,
    TokenAnswer,
    TokenRequest,
)
from server import describing, tls
from server.allocating import MOST_RECORDS
from server.allocations import change_of, in_words
from server.api.auditing import note
from server.api.jobs import page_limit
from server.api.responses import message
from server.api.services import Caller, Services
from server.discretion import jobs_named, without_others
from server.rights import Rights
from server.settings import Settings
from server.store.connection import Document
from server.store.credentials import secret_hash, token_id

WATCH_S = 10.0
"""How long an admin's look at a client keeps its syncs at short intervals."""


def clients(services: Services, caller: Caller, _: None) -> ClientPage:
    limit = page_limit()
    found = services.store.clients.page(request.args.get("cursor", ""), limit)
    now = services.store.duties.now()
    views = [describing.client(document, now, services.settings.silent_after_s) for document in found]
    views = discreet(services, caller.rights, views)
    return ClientPage(clients=views, next=found[-1]["_id"] if len(found) == limit else None)


def client(services: Services, caller: Caller, _: None, client: str) -> Response:
    document = _client(services, client)
    if request.args.get("watch") == "yes" and caller.rights.may("admin"):
        services.store.clients.watch(client, WATCH_S)
    whole = describing.client(document, services.store.duties.now(), services.settings.silent_after_s)
    (view,) = discreet(services, caller.rights, [whole])
    return message(view, ETag=f'"{view.allocation.version}"')


def client_allocate(services: Services, caller: Caller, body: AllocationChange, client: str) -> Response:
    document = _client(services, client)
    note(detail=in_words(body))
    allocation = services.allocating.allocate(document, body, wanted_version(), caller.id)
    return message(allocation, ETag=f'"{allocation.version}"')


def client_follow(services: Services, caller: Caller, _: None, client: str) -> Response:
    """What its group gives it, from now on."""
    allocation = services.allocating.follow(_client(services, client), caller.id)
    note(detail=in_words(change_of(allocation)))
    return message(allocation, ETag=f'"{allocation.version}"')


def client_history(services: Services, caller: Caller, _: None, client: str) -> AllocationHistory:
    limit = page_limit()
    cursor = request.args.get("cursor", "")
    if cursor and not is_version(cursor):
        raise BadRequest("?cursor= is the `next` of the page before")
    found = services.allocating.history(_client(services, client)["_id"], int(cursor) if cursor else None, limit)
    full = len(found) == min(limit, MOST_RECORDS)
    return AllocationHistory(records=found, next=str(found[-1].allocation.version) if found and full else None)


def client_tags(services: Services, caller: Caller, body: TagsChange, client: str) -> ClientView:
    note(detail=f"tags {', '.join(body.tags) or 'none'}")
    services.grouping.tag(_client(services, client), body.tags, caller.id)
    now = services.store.duties.now()
    return describing.client(_client(services, client), now, services.settings.silent_after_s)


def wanted_version() -> int | None:
    """The version that the caller looked at, by If-Match; None where it does not say. Raises BadRequest."""
    wanted = request.headers.get("If-Match", "").strip('" ')
    if wanted and not is_version(wanted):
        raise BadRequest('If-Match is the ETag that was read, such as "3"')
    return int(wanted) if wanted else None


def is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18


def client_remove(services: Services, caller: Caller, _: None, client: str) -> Revoked:
    """Its next sync is refused, and the same machine does not come back by enrolling again."""
    if not services.store.clients.bar(client):
        raise NotFound(f"there is no client {client}")
    services.scheduling.take_back(client)
    return Revoked(id=client, clients=1)


def client_forgive(services: Services, caller: Caller, body: Forgiveness, client: str) -> ClientView:
    return forgiven(services, caller, body.reason, client)


def forgiven(services: Services, caller: Caller, reason: str, client: str) -> ClientView:
    """Nothing that was found of the client counts any more. Raises BadRequest without a reason, NotFound."""
    if not reason.strip():
        raise BadRequest("say why: such as that its memory was replaced")
    note(detail=reason.strip())
    if not services.store.clients.forgive(client, caller.id, reason.strip()[:LONGEST_SENTENCE]):
        raise NotFound(f"there is no client {client}")
    now = services.store.duties.now()
    return describing.client(_client(services, client), now, services.settings.silent_after_s)


def discreet(services: Services, rights: Rights, views: list[ClientView]) -> list[ClientView]:
    """The clients as this person may see them."""
    if rights.sees_all:
        return views
    own = services.store.jobs.of_owner(sorted(jobs_named(views)), rights.person)
    return [without_others(view, own) for view in views]


def enrolment_token(services: Services, caller: Caller, body: TokenRequest) -> Response:
    return message(invitation(services, caller, body), 201)


def invitation(services: Services, caller: Caller, body: TokenRequest) -> TokenAnswer:
    """A new enrolment token, its link and the command for volunteers. Raises BadRequest as make_enrolment_token."""
    token = make_enrolment_token(services, body, caller.id)
    note(subject=token_id(secret_hash(token)), detail=f"{body.uses} uses, of {body.owner}{' (trusted)' * body.trusted}")
    link = f"{services.settings.url}/installer.sh?token={token}"
    return TokenAnswer(token=token, link=link, command=f"curl -fsSL {_trust(services.settings)}'{link}' | sh")


def _trust(settings: Settings) -> str:
    """What makes curl trust a pinned certificate: its public key, and nobody's signature."""
    if settings.tls_cert is None or settings.tls_pin != tls.fingerprint(settings.tls_cert):
        return ""
    return f"-k --pinnedpubkey '{tls.curl_pin(settings.tls_cert)}' "


def make_enrolment_token(services: Services, body: TokenRequest, made_by: str) -> str:
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
        made_by=made_by,
    )


def login_link(services: Services, caller: Caller, _: None) -> Response:
    return message(LoginLink(link=services.people.login_link(caller.id, services.settings.url)), 201)


def _client(services: Services, client: str) -> Document:
    found = services.store.clients.by_id(client)
    if found is None:
        raise NotFound(f"there is no client {client}")
    return found


HANDLERS: dict[str, Any] = {
    "clients": clients,
    "client": client,
    "client_allocate": client_allocate,
    "client_follow": client_follow,
    "client_history": client_history,
    "client_tags": client_tags,
    "client_remove": client_remove,
    "client_forgive": client_forgive,
    "enrolment_token": enrolment_token,
    "login_link": login_link,
}
