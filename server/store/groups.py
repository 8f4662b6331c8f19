"""The collection `groups`: one document a group of clients; few, and read whole."""

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from .connection import DATABASE_TIME, Document, store_errors


class Groups:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._groups = database["groups"]

    def all(self) -> list[Document]:
        with store_errors():
            return list(self._groups.find().sort("_id", 1))

    def by_name(self, name: str) -> Document | None:
        with store_errors():
            return self._groups.find_one({"_id": name})

    def put(self, name: str, version: int, group: Document, author: str) -> bool:
        """Make version `version` + 1 of a group where it still is at `version`; 0 makes it where there is none, or a
        removed one that is not settled yet. False where somebody else was first."""
        made: Document = {
            "version": {"$add": [{"$ifNull": ["$version", 0]}, 1]},
            "removed": False,
            "group": {"$literal": group},
            "author": {"$literal": author},
            "at": DATABASE_TIME,
            "settled": False,
        }
        where: Document = {"_id": name} | ({"version": version} if version else {"removed": True})
        with store_errors():
            try:
                found = self._groups.update_one(where, [{"$set": made}], upsert=not version)
            except DuplicateKeyError:
                return False
            return bool(found.matched_count or found.upserted_id)

    def delete(self, name: str, version: int) -> bool:
        """Remove a group where it still is at `version`. What its members are given is settled later: it stays, marked,
        until then."""
        gone: Document = {"version": version + 1, "removed": True, "settled": False}
        with store_errors():
            return bool(self._groups.update_one({"_id": name, "version": version}, {"$set": gone}).matched_count)

    def settled(self, found: Document) -> None:
        """Its members have what this version gives; a removed one goes, if it is still that version."""
        where = {"_id": found["_id"], "version": found["version"]}
        with store_errors():
            if found.get("removed"):
                self._groups.delete_one(where)
            else:
                self._groups.update_one(where, {"$set": {"settled": True}})
