"""Making clients of machines: an enrolment token lets in, a secret of its own lets a client speak from then on."""

import secrets
from datetime import datetime, timezone

import msgspec

from dockercomp.protocol.errors import NotFound, Unauthorized
from dockercomp.protocol.messages import EnrolAnswer, EnrolRequest
from dockercomp.protocol.people import EnrolmentTokenView
from server.allocating import Allocating
from server.store import Store
from server.store.connection import Document
from server.store.credentials import secret_hash, token_id


class Enrolment:
    """Duties over new clients and the tokens that let them in."""

    def __init__(self, store: Store, master_key: str) -> None:
        self._store = store
        self._allocating = Allocating(store)
        self._master_key = master_key

    def enrol(self, request: EnrolRequest, address: str) -> EnrolAnswer:
        """Raises Unauthorized where the token is unknown, expired or used up. Safe to repeat."""
        token = self._store.credentials.take_use(request.token, request.request, datetime.now(timezone.utc))
        if token is None:
            raise Unauthorized(
                "this enrolment token is not valid (wrong, expired or used up): ask the admin for a new link"
            )
        secret = secrets.token_urlsafe(32)
        now = self._store.duties.now()
        newcomer = {
            "_id": f"c{secrets.token_hex(5)}",
            "request": request.request,
            "secret_hash": secret_hash(secret),
            "owner": token["owner"],
            "trusted": bool(token.get("trusted")),
            "token": token_id(token["_id"]),
            "name": request.machine.hostname,
            "address": address,
            "machine": msgspec.to_builtins(request.machine),
            "ceiling": msgspec.to_builtins(request.ceiling),
            "seen": now,
            "wanted_at": now,
            "counters": {},
        }
        client = self._store.clients.enrol(newcomer | self._allocating.first(newcomer))
        if client is None:
            raise Unauthorized("an admin retired this machine: ask the admin if it may come back")
        self._store.allocations.record([client["_id"]])
        self._allocating.settle([client], self._allocating.groups())  # groups may have changed, or it was here before
        return EnrolAnswer(client=client["_id"], secret=secret, master_key=self._master_key, owner=client["owner"])

    def tokens(self) -> list[EnrolmentTokenView]:
        """Enrolment tokens that are still valid, the newest first."""
        found = self._store.credentials.enrolment_tokens(datetime.now(timezone.utc))
        clients = self._store.clients.by_token([token_id(each["_id"]) for each in found])
        return [_token_view(each, clients.get(token_id(each["_id"]), 0)) for each in found]

    def revoke(self, token: str, *, retire: bool = False) -> list[str]:
        """No machine can enrol, nor enrol again, with this token; with `retire` those that came by it are retired.
        Returns which. Raises NotFound where there is nothing (left) to do."""
        found = self._store.credentials.revoke("enrolment", token)
        clients = self._store.clients.of_token(token) if retire else []
        if found is None and not clients:
            raise NotFound(f"there is no enrolment token {token}: it was revoked, or has expired")
        for client in clients:
            self._store.clients.retire_one(client)
        return clients


def _token_view(found: Document, clients: int) -> EnrolmentTokenView:
    return EnrolmentTokenView(
        id=token_id(found["_id"]),
        owner=found["owner"],
        trusted=bool(found.get("trusted")),
        uses_left=found["uses"],
        clients=clients,
        created=f"{found['created'].isoformat(timespec='seconds')}Z",
        expires=f"{found['expires'].isoformat(timespec='seconds')}Z",
        made_by=found.get("made_by", ""),
    )
