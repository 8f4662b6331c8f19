"""The collection `credentials`: the secrets that let in people, programs and new clients.

A credential is stored as the SHA-256 of a random 256-bit secret, which needs no slow hash; passwords are hashed by
argon2. Kinds: `api` (a program's token), `enrolment` (makes clients), `login` and `password` (one-time links). Those of
people carry their person's `generation` (see Users): they end with it.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from .connection import QUICK, Document, store_errors

_NOTED_EVERY = timedelta(minutes=1)


def secret_hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def token_id(hashed: str) -> str:
    """What a credential is called where it is listed: it tells nothing of its secret."""
    return f"t{hashed[:12]}"


class Credentials:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._credentials = database["credentials"]
        self._quick = self._credentials.with_options(write_concern=QUICK)

    def make(self, kind: str, now: datetime, valid: timedelta, **fields: object) -> str:
        """Make a credential; returns its secret, which is stored nowhere."""
        secret = f"dc{kind[0]}-{secrets.token_urlsafe(32)}"
        hashed = secret_hash(secret)
        document = {"_id": hashed, "id": token_id(hashed), "kind": kind, "created": now, "expires": now + valid}
        with store_errors():
            self._credentials.insert_one({**document, **fields})
        return secret

    def find(self, kind: str, secret: str, now: datetime) -> Document | None:
        """The credential of this secret, if it has not expired."""
        with store_errors():
            return self._credentials.find_one({"_id": secret_hash(secret), "kind": kind, "expires": {"$gt": now}})

    def of_person(self, kind: str, secret: str, now: datetime) -> Document | None:
        """The same, with its person in `person`; None where that one is gone or has another password by now."""
        match = {"_id": secret_hash(secret), "kind": kind, "expires": {"$gt": now}}
        with store_errors():
            return next(iter(self._credentials.aggregate([{"$match": match}, *_WITH_PERSON])), None)

    def note_use(self, credential: Document, now: datetime) -> None:
        """Note that it was used, at most once a minute."""
        used = credential.get("used")
        if used is None or now.replace(tzinfo=None) - used > _NOTED_EVERY:
            with store_errors():
                self._quick.update_one({"_id": credential["_id"]}, {"$set": {"used": now}})

    def use_once(self, kind: str, secret: str, now: datetime) -> Document | None:
        """Take a one-time credential: of two askers one gets it."""
        with store_errors():
            return self._credentials.find_one_and_delete(
                {"_id": secret_hash(secret), "kind": kind, "expires": {"$gt": now}}
            )

    def take_use(self, secret: str, request: str, now: datetime) -> Document | None:
        """Take one of an enrolment token's uses for `request`; the same request takes only one, however often sent."""
        where = {"_id": secret_hash(secret), "kind": "enrolment", "expires": {"$gt": now}}
        with store_errors():
            found = self._credentials.find_one_and_update(
                {**where, "requests": {"$ne": request}, "uses": {"$gt": 0}},
                {"$inc": {"uses": -1}, "$push": {"requests": request}},
            )
            return found or self._credentials.find_one({**where, "requests": request})

    def api_tokens(self, person: str, now: datetime) -> list[Document]:
        """API tokens that are good now, of one person or, without a name, of all; the newest first."""
        match: Document = {"kind": "api", "expires": {"$gt": now}, **({"user": person} if person else {})}
        with store_errors():
            return list(self._credentials.aggregate([{"$match": match}, {"$sort": {"created": -1}}, *_WITH_PERSON]))

    def enrolment_tokens(self, now: datetime) -> list[Document]:
        """Enrolment tokens that have not expired, the newest first."""
        with store_errors():
            return list(
                self._credentials.find({"kind": "enrolment", "expires": {"$gt": now}}, {"requests": 0}).sort(
                    "created", -1
                )
            )

    def revoke(self, kind: str, token: str, **where: Any) -> Document | None:
        """Remove the credential listed as `token`; None where there is none of that kind and `where`."""
        with store_errors():
            return self._credentials.find_one_and_delete({"id": token, "kind": kind, **where})

    def remove_of(self, person: str) -> None:
        """Remove all that let this person or their programs in; they ended when the person's generation did."""
        with store_errors():
            self._credentials.delete_many({"user": person})


_WITH_PERSON: list[Document] = [
    {"$lookup": {"from": "users", "localField": "user", "foreignField": "_id", "as": "person"}},
    {"$unwind": "$person"},
    {"$match": {"$expr": {"$eq": [{"$ifNull": ["$generation", ""]}, {"$ifNull": ["$person.generation", ""]}]}}},
]
