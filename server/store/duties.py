"""The collection `duties`: who may do a background duty now, with a fencing number that only grows."""

import contextlib
from datetime import timezone

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from .connection import DATABASE_TIME, Document, store_errors


class Duties:
    def __init__(self, database: Database[Document]) -> None:
        self._duties = database["duties"]

    def hold(self, duty: str, holder: str, seconds: float) -> Document | None:
        """Take or renew the duty for `seconds`; None while another process holds it. Two round trips.

        The document has the database's time in `now` and the fencing number in `fence`, which grows with each new
        holder.
        """
        mine = {"$eq": ["$holder", holder]}
        change = {
            "fence": {"$cond": [mine, "$fence", {"$add": [{"$ifNull": ["$fence", 0]}, 1]}]},
            "holder": holder,
            "now": DATABASE_TIME,
            "until": {"$add": [DATABASE_TIME, seconds]},
        }
        free = {"$lt": ["$until", DATABASE_TIME]}
        with store_errors():
            with contextlib.suppress(DuplicateKeyError):  # two first holders: one makes it, both go on
                self._duties.update_one({"_id": duty}, {"$setOnInsert": {"until": 0.0, "holder": ""}}, upsert=True)
            return self._duties.find_one_and_update(
                {"_id": duty, "$expr": {"$or": [mine, free]}}, [{"$set": change}], return_document=ReturnDocument.AFTER
            )

    def holder(self, duty: str) -> str:
        """Who holds the duty now; empty where nobody does. One round trip."""
        held = {"_id": duty, "$expr": {"$gt": ["$until", DATABASE_TIME]}}
        with store_errors():
            return str((self._duties.find_one(held) or {}).get("holder", ""))

    def give_up(self, duty: str, holder: str) -> None:
        """Let another process take it at once."""
        with store_errors():
            self._duties.update_one({"_id": duty, "holder": holder}, {"$set": {"until": 0.0, "holder": ""}})

    def now(self) -> float:
        """The database's time, seconds since 1970. One round trip."""
        with store_errors():
            found = self._duties.find_one_and_update(
                {"_id": "clock"},
                [{"$set": {"now": DATABASE_TIME}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        assert found is not None
        return float(found["now"])

    def read_now(self) -> float:
        """The database's time, seconds since 1970, without a write: good enough to show how long ago something was."""
        with store_errors():
            return float(self._duties.database.command("hello")["localTime"].replace(tzinfo=timezone.utc).timestamp())

    def installation(self) -> Document:
        """The same, only read; empty before the first start."""
        with store_errors():
            return self._duties.find_one({"_id": "installation"}) or {}

    def succeed(self, old: str, new: str, link: Document) -> None:
        """The key `new` takes the place of `old`; once only."""
        change = {"$set": {"public_key": new, "orders_to_sign": True}, "$push": {"key_links": link}}
        with store_errors():
            self._duties.update_one({"_id": "installation", "public_key": old}, change)

    def orders_signed(self, key: str) -> None:
        """All orders carry the signature of this key."""
        with store_errors():
            self._duties.update_one({"_id": "installation", "public_key": key}, {"$unset": {"orders_to_sign": ""}})

    def identity(self, mine: Document) -> Document:
        """What this installation is (its public key and its blob store's id), as first stored. One round trip."""
        with store_errors():
            found = self._duties.find_one_and_update(
                {"_id": "installation"},
                {"$setOnInsert": mine},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        assert found is not None
        return found
