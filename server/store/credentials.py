"""The collections `users` and `credentials`: people, and the secrets that let in people, programs and new clients.

A credential is stored as the SHA-256 of a random 256-bit secret, which needs no slow hash; passwords are hashed by
argon2. Kinds: `api` (a program's token), `enrolment` (makes clients), `login` (a one-time link).
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from .connection import Document, store_errors


def secret_hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Credentials:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._credentials = database["credentials"]
        self._users = database["users"]

    def add_user(self, name: str, role: str, password_hash: str) -> bool:
        """False where the name is taken; nothing is changed then."""
        with store_errors():
            try:
                self._users.insert_one({"_id": name, "role": role, "password_hash": password_hash})
            except DuplicateKeyError:
                return False
        return True

    def user(self, name: str) -> Document | None:
        with store_errors():
            return self._users.find_one({"_id": name})

    def set_password(self, name: str, password_hash: str) -> bool:
        with store_errors():
            return bool(self._users.update_one({"_id": name}, {"$set": {"password_hash": password_hash}}).matched_count)

    def make(self, kind: str, now: datetime, valid: timedelta, **fields: object) -> str:
        """Make a credential; returns its secret, which is stored nowhere."""
        secret = f"dc{kind[0]}-{secrets.token_urlsafe(32)}"
        document = {"_id": secret_hash(secret), "kind": kind, "created": now, "expires": now + valid, **fields}
        with store_errors():
            self._credentials.insert_one(document)
        return secret

    def find(self, kind: str, secret: str, now: datetime) -> Document | None:
        """The credential of this secret, if it has not expired."""
        with store_errors():
            return self._credentials.find_one({"_id": secret_hash(secret), "kind": kind, "expires": {"$gt": now}})

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
