"""The collection `rates`: how often something was done in the window under way, counted across all processes.

A count of a moment needs no journal: what a crash takes is forgiven.
"""

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from .connection import DATABASE_TIME, QUICK, Document, store_errors


class Rates:
    """Every method is one round trip. A window begins with its first hit, by the database's clock."""

    def __init__(self, database: Database[Document]) -> None:
        self._rates = database["rates"].with_options(write_concern=QUICK)

    def hit(self, key: str, window_s: float, amount: int = 1) -> tuple[int, float]:
        """Count `amount` more; returns the window's count so far and the seconds until it ends."""
        over = {"$lte": [{"$ifNull": ["$until", 0]}, DATABASE_TIME]}
        until = {"$cond": [over, {"$add": [DATABASE_TIME, window_s]}, "$until"]}
        count = {"$add": [{"$cond": [over, 0, "$count"]}, amount]}
        change = {"until": until, "count": count, "now": DATABASE_TIME}
        gone = {"gone": {"$toDate": {"$toLong": {"$multiply": ["$until", 1000]}}}}
        with store_errors():
            try:
                found = self._change(key, change, gone)
            except DuplicateKeyError:  # two first hits: the other one made it
                found = self._change(key, change, gone)
        return int(found["count"]), max(0.0, found["until"] - found["now"])

    def _change(self, key: str, change: Document, then: Document) -> Document:
        found = self._rates.find_one_and_update(
            {"_id": key}, [{"$set": change}, {"$set": then}], upsert=True, return_document=ReturnDocument.AFTER
        )
        assert found is not None
        return found

    def look(self, key: str) -> tuple[int, float]:
        """The window's count so far and the seconds since 1970 when it ends; (0, 0) where none is under way."""
        with store_errors():
            found = self._rates.find_one({"_id": key, "$expr": {"$gt": ["$until", DATABASE_TIME]}})
        return (int(found["count"]), float(found["until"])) if found else (0, 0.0)

    def forget(self, key: str) -> None:
        with store_errors():
            self._rates.delete_one({"_id": key})
