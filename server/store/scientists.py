"""The collection `scientist_keys`: the public keys with which people sign their jobs. `_id` is the key."""

from datetime import datetime

from pymongo import ReturnDocument
from pymongo.database import Database

from .connection import Document, store_errors


class ScientistKeys:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._keys = database["scientist_keys"]

    def register(self, key: str, owner: str, label: str, now: datetime) -> Document:
        """Store the key; one that is there already stays as it is, whoever it belongs to. Returns what is stored."""
        made = {"owner": owner, "label": label, "created": now}
        with store_errors():
            found = self._keys.find_one_and_update(
                {"_id": key}, {"$setOnInsert": made}, upsert=True, return_document=ReturnDocument.AFTER
            )
        assert found is not None
        return found

    def by_id(self, key: str) -> Document | None:
        with store_errors():
            return self._keys.find_one({"_id": key})

    def of(self, owner: str | None) -> list[Document]:
        """The keys of one person, or of all, oldest first."""
        with store_errors():
            return list(self._keys.find({} if owner is None else {"owner": owner}).sort("created", 1))

    def revoke_of(self, owner: str, now: datetime) -> None:
        """All keys of a person."""
        with store_errors():
            self._keys.update_many({"owner": owner, "revoked": {"$exists": False}}, {"$set": {"revoked": now}})

    def revoke(self, key: str, now: datetime) -> None:
        """From now on, or since it was revoked before."""
        with store_errors():
            self._keys.update_one({"_id": key, "revoked": {"$exists": False}}, {"$set": {"revoked": now}})
