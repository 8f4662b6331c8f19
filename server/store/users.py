"""The collection `users`: people with an account. Each has two random marks: `generation` changes with the password and
ends sessions and tokens, `logins` ends sessions. A credential is good only while its mark is that of its person."""

import secrets
from datetime import datetime

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from .connection import Document, store_errors


class Users:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._users = database["users"]

    def add(self, name: str, role: str, password_hash: str, now: datetime) -> bool:
        """False where the name is taken; nothing is changed then. An empty hash is no password."""
        marks = {"generation": secrets.token_hex(8), "logins": secrets.token_hex(8)}
        with store_errors():
            try:
                self._users.insert_one(
                    {"_id": name, "role": role, "password_hash": password_hash, "created": now, **marks}
                )
            except DuplicateKeyError:
                return False
        return True

    def by_name(self, name: str) -> Document | None:
        with store_errors():
            return self._users.find_one({"_id": name})

    def all(self) -> list[Document]:
        with store_errors():
            return list(self._users.find().sort("_id", 1))

    def admins(self) -> list[str]:
        with store_errors():
            return [found["_id"] for found in self._users.find({"role": "admin"}, {"_id": 1}).sort("_id", 1)]

    def set_password(self, name: str, password_hash: str, generation: str | None = None) -> Document | None:
        """The person with the new password and new marks; None where there is none, or, with `generation`, where it
        has changed."""
        changed = {
            "password_hash": password_hash,
            "generation": secrets.token_hex(8),
            "logins": secrets.token_hex(8),
        }
        where = {"_id": name} if generation is None else {"_id": name, "generation": generation}
        with store_errors():
            return self._users.find_one_and_update(where, {"$set": changed}, return_document=ReturnDocument.AFTER)

    def set_role(self, name: str, role: str) -> Document | None:
        with store_errors():
            return self._users.find_one_and_update(
                {"_id": name}, {"$set": {"role": role}}, return_document=ReturnDocument.AFTER
            )

    def end_sessions(self, name: str) -> Document | None:
        with store_errors():
            return self._users.find_one_and_update(
                {"_id": name}, {"$set": {"logins": secrets.token_hex(8)}}, return_document=ReturnDocument.AFTER
            )

    def remove(self, name: str) -> Document | None:
        with store_errors():
            return self._users.find_one_and_delete({"_id": name})
