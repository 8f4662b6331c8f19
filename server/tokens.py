"""Duty: API tokens, by which programs act for a person: with a scope, for a time, shown once, listed and revoked."""

from datetime import datetime, timedelta, timezone

from dockercomp.protocol.errors import Forbidden, NotFound, Unauthorized
from dockercomp.protocol.people import ApiTokenAnswer, ApiTokenRequest, ApiTokenView
from server.rights import Rights
from server.store import Store
from server.store.connection import Document
from server.store.credentials import secret_hash, token_id

ENROLMENT = "enrolment"


class Tokens:
    def __init__(self, store: Store) -> None:
        self._store = store

    def make(self, by: Rights, request: ApiTokenRequest, until: datetime | None = None) -> ApiTokenAnswer:
        """A token of the person of `by`, good until `until` at most. Raises Forbidden for more than `by` has,
        Unauthorized where the person is gone."""
        if not by.may_give(request.scope, request.own):
            limits = f"scope {by.scope}{', own jobs only' if by.own else ''}"
            raise Forbidden(f"a token never gives more than the one that asks for it ({limits})")
        person = self._store.users.by_name(by.person)
        if person is None:
            raise Unauthorized("there is no such person any more")
        now = datetime.now(timezone.utc)
        valid = timedelta(days=request.valid_days)
        if until is not None:
            valid = min(valid, until - now)
        secret = self._store.credentials.make(
            "api",
            now,
            valid,
            user=by.person,
            generation=person.get("generation", ""),
            label=request.label,
            scope=request.scope,
            own=request.own,
        )
        view = ApiTokenView(
            id=token_id(secret_hash(secret)),
            person=by.person,
            label=request.label,
            scope=request.scope,
            own=request.own,
            created=_when(now),
            expires=_when(now + valid),
        )
        return ApiTokenAnswer(token=secret, view=view)

    def all(self, person: str = "") -> list[ApiTokenView]:
        """Those that are good now, of one person or, without a name, of everybody."""
        return [_view(found) for found in self._store.credentials.api_tokens(person, datetime.now(timezone.utc))]

    def revoke(self, token: str, person: str = "") -> str:
        """End a token of `person`, or, without a name, of anybody; returns whose it was. Raises NotFound."""
        found = self._store.credentials.revoke("api", token, **({"user": person} if person else {}))
        if found is None:
            raise NotFound(f"there is no API token {token}{' of yours' if person else ''}")
        return str(found["user"])


def _view(found: Document) -> ApiTokenView:
    used = found.get("used")
    return ApiTokenView(
        id=found.get("id") or token_id(found["_id"]),
        person=found["user"],
        label=found.get("label", ""),
        scope=found.get("scope", "admin"),
        own=bool(found.get("own")),
        created=_when(found["created"]),
        expires=_when(found["expires"]),
        used=_when(used) if used else "",
    )


def _when(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"
