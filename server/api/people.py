"""Routes of people, their tokens, enrolment tokens, and the audit log."""

from typing import Any

from flask import Response, request

from dockercomp.protocol.errors import Conflict
from dockercomp.protocol.people import (
    ApiTokenAnswer,
    ApiTokenList,
    ApiTokenRequest,
    AuditPage,
    EnrolmentTokenList,
    Identity,
    PasswordLink,
    PersonList,
    PersonRequest,
    PersonView,
    Revoked,
    RoleChange,
)
from server.api.auditing import note
from server.api.jobs import page_limit
from server.api.responses import message
from server.api.services import Caller, Services
from server.audit import Asked
from server.people import PASSWORD_LINK_VALID


def identity(services: Services, caller: Caller, _: None) -> Identity:
    rights = caller.rights
    expires = caller.expires.isoformat(timespec="seconds").replace("+00:00", "Z") if caller.expires else ""
    return Identity(name=caller.id, role=rights.role, scope=rights.scope, own=rights.own, expires=expires)


# --- people ----------------------------------------------------------------------------------------------------------


def people(services: Services, caller: Caller, _: None) -> PersonList:
    return PersonList(people=services.people.all())


def person_add(services: Services, caller: Caller, body: PersonRequest) -> Response:
    return message(person_added(services, body), 201)


def person_added(services: Services, body: PersonRequest) -> PasswordLink:
    """Raises Conflict where the name is taken."""
    note(subject=body.name, detail=f"as {body.role}")
    if not services.people.add(body.name, body.role):
        raise Conflict(f"there is somebody of the name {body.name} already")
    return password_link(services, body.name)


def person_role(services: Services, caller: Caller, body: RoleChange, person: str) -> PersonView:
    note(detail=f"now {body.role}")
    return services.people.set_role(person, body.role)


def person_remove(services: Services, caller: Caller, _: None, person: str) -> PersonView:
    return services.people.remove(person)


def person_link(services: Services, caller: Caller, _: None, person: str) -> Response:
    return message(password_link(services, person), 201)


def person_logout(services: Services, caller: Caller, _: None, person: str) -> PersonView:
    return services.people.end_sessions(person)


def password_link(services: Services, name: str) -> PasswordLink:
    """Raises NotFound."""
    link = services.people.password_link(name, services.settings.url)
    return PasswordLink(name=name, link=link, valid_days=PASSWORD_LINK_VALID.days)


# --- tokens ----------------------------------------------------------------------------------------------------------


def tokens(services: Services, caller: Caller, _: None) -> ApiTokenList:
    everybody = request.args.get("all") == "yes" and caller.rights.may("admin")
    return ApiTokenList(tokens=services.tokens.all("" if everybody else caller.id))


def token_create(services: Services, caller: Caller, body: ApiTokenRequest) -> Response:
    return message(new_token(services, caller, body), 201)


def new_token(services: Services, caller: Caller, body: ApiTokenRequest) -> ApiTokenAnswer:
    """Raises Forbidden where it would give more than the caller has."""
    made = services.tokens.make(caller.rights, body, until=caller.expires)
    note(subject=made.view.id, detail=f"scope {body.scope}{', own jobs only' if body.own else ''} {body.label}".strip())
    return made


def token_revoke(services: Services, caller: Caller, _: None, token: str) -> Revoked:
    whose = services.tokens.revoke(token, "" if caller.rights.may("admin") else caller.id)
    note(detail=f"of {whose}")
    return Revoked(id=token)


def enrolment_tokens(services: Services, caller: Caller, _: None) -> EnrolmentTokenList:
    return EnrolmentTokenList(tokens=services.enrolment.tokens())


def enrolment_token_revoke(services: Services, caller: Caller, _: None, token: str) -> Revoked:
    return revoke_enrolment(services, token, retire=request.args.get("retire") == "yes")


def revoke_enrolment(services: Services, token: str, *, retire: bool) -> Revoked:
    """With `retire` the clients that came by it are refused at their next sync. Raises NotFound."""
    retired = services.enrolment.revoke(token, retire=retire)
    for client in retired:
        services.scheduling.take_back(client)
    note(detail=f"{len(retired)} clients retired" if retired else "")
    return Revoked(id=token, clients=len(retired))


# --- audit -----------------------------------------------------------------------------------------------------------


def audit(services: Services, caller: Caller, _: None) -> AuditPage:
    asked = Asked(**{name: request.args.get(name, "") for name in Asked.__dataclass_fields__})
    return services.audit.page(asked, request.args.get("cursor", ""), page_limit())


HANDLERS: dict[str, Any] = {
    "identity": identity,
    "people": people,
    "person_add": person_add,
    "person_role": person_role,
    "person_remove": person_remove,
    "person_link": person_link,
    "person_logout": person_logout,
    "tokens": tokens,
    "token_create": token_create,
    "token_revoke": token_revoke,
    "enrolment_tokens": enrolment_tokens,
    "enrolment_token_revoke": enrolment_token_revoke,
    "audit": audit,
}
