"""Duty: scientists' signing keys, and whether what a submission carries is signed by one of them."""

import re
from datetime import datetime, timezone

import msgspec

from dockercomp.protocol.errors import BadRequest, Conflict, Forbidden, InvalidJob, NotFound
from dockercomp.protocol.orders import JobOrder
from dockercomp.protocol.scientists import KeyRegistration, KeyView
from dockercomp.protocol.signing import (
    STATEMENT_VERSION,
    decode_statement,
    fingerprint,
    possesses,
    statement_is_genuine,
    states,
)
from dockercomp.protocol.views import SubmitRequest
from server.store import Store
from server.store.connection import Document

_KEY = re.compile(r"[0-9a-f]{64}")
MOST_KEYS = 200
"""Of one person, revoked ones included: a machine needs one."""
_AGAIN = "submit again; if it goes on, look at `dockercomp key list`"


class Scientists:
    def __init__(self, store: Store) -> None:
        self._keys = store.scientist_keys

    def register(self, key: str, owner: str, asked: KeyRegistration) -> KeyView:
        """Make the key `owner`'s; safe to repeat.

        Raises BadRequest, Conflict (another's), Forbidden (revoked, or too many).
        """
        if not _KEY.fullmatch(key) or not possesses(key, asked.proof):
            raise BadRequest("the key is not one, or its proof of possession is not genuine: nothing was registered")
        if self._keys.by_id(key) is None and len(self._keys.of(owner)) >= MOST_KEYS:
            raise Forbidden(f"you have registered {MOST_KEYS} keys, revoked ones included; use one of them")
        found = self._keys.register(key, owner, asked.label, datetime.now(timezone.utc))
        if found["owner"] != owner:
            raise Conflict("this key is registered under another name; remove its file, and a new one is made")
        if found.get("revoked"):
            raise Forbidden(_revoked(key))
        return view(found)

    def key(self, key: str, owner: str | None) -> KeyView:
        """One key, of `owner` or of anybody. Raises NotFound."""
        found = self._keys.by_id(key)
        if found is None or owner not in (None, found["owner"]):
            raise NotFound(f"you have registered no key {key[:100]}")
        return view(found)

    def keys(self, owner: str | None) -> list[KeyView]:
        return [view(found) for found in self._keys.of(owner)]

    def revoke(self, key: str, owner: str | None) -> KeyView:
        """Take nothing more that it signs; jobs that run go on. Safe to repeat. Raises NotFound."""
        self.key(key, owner)
        self._keys.revoke(key, datetime.now(timezone.utc))
        return self.key(key, owner)

    def check(self, owner: str, request: SubmitRequest, order: JobOrder) -> Document:
        """The fields of a job's document that carry the scientist's signature; none where the submission has none.

        Raises InvalidJob where the signature is not the owner's, or not over this order; Forbidden for a revoked key.
        """
        key = request.scientist_key
        if not (key or request.statement or request.signature):
            return {}
        if not _KEY.fullmatch(key) or not statement_is_genuine(request.statement, request.signature, key):
            raise InvalidJob(f"the scientist's signature on this submission is not genuine: {_AGAIN}")
        found = self._keys.by_id(key)
        if found is None or found["owner"] != owner:
            raise InvalidJob(f"the key {fingerprint(key)} is not registered as yours: {_AGAIN}")
        if found.get("revoked"):
            raise Forbidden(_revoked(key))
        try:
            statement = decode_statement(request.statement)
        except msgspec.DecodeError as error:
            raise InvalidJob(f"what was signed cannot be read: {error}") from error
        if statement.version != STATEMENT_VERSION or statement.scientist != owner:
            raise InvalidJob(f"what was signed is of another version, or of another scientist than {owner}: {_AGAIN}")
        if not states(statement, order):
            raise InvalidJob(
                "the job is not the one that was signed (was its image pushed anew meanwhile?): submit it again"
            )
        return {"scientist_key": key, "scientist": request.statement, "scientist_signature": request.signature}


def view(found: Document) -> KeyView:
    return KeyView(
        key=found["_id"],
        fingerprint=fingerprint(found["_id"]),
        owner=found["owner"],
        label=found["label"],
        created=_when(found["created"]),
        revoked=_when(found["revoked"]) if found.get("revoked") else "",
    )


def _revoked(key: str) -> str:
    return (
        f"the key {fingerprint(key)} was revoked; remove the file it is kept in (`dockercomp key list` names it), and"
        " the next submission makes a new one"
    )


def _when(at: datetime) -> str:
    return at.replace(tzinfo=timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
