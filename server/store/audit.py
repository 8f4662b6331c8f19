"""The collection `audit`: one document a thing that was done or refused. Only added to; an index ends it by age."""

from datetime import datetime

from bson import ObjectId
from pymongo.database import Database

from .connection import Document, store_errors


class AuditLog:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._audit = database["audit"]

    def append(self, entry: Document) -> None:
        """Add an entry, with the database's time in `at`. Durable when it returns."""
        fields = {key: {"$literal": value} for key, value in entry.items()}
        with store_errors():
            self._audit.update_one({"_id": str(ObjectId())}, [{"$set": {**fields, "at": "$$NOW"}}], upsert=True)

    def page(
        self, where: Document, since: datetime | None, before: tuple[datetime, str] | None, limit: int
    ) -> list[Document]:
        """Entries with the values of `where`, newest first, not before `since`, after the (at, id) of the page before.

        A `before` without an id is a time that entries must precede.
        """
        query: Document = dict(where)
        if since is not None:
            query["at"] = {"$gte": since}
        if before is not None:
            at, last = before
            query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last}}]
        with store_errors():
            return list(self._audit.find(query).sort([("at", -1), ("_id", -1)]).limit(limit))
