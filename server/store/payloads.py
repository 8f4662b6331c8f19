"""The collection `payloads`: results up to INLINE_LIMIT, content-addressed, stored before their chunks move on."""

import time
from collections.abc import Iterable, Mapping, Sequence

from bson import Binary
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from .connection import Document, store_errors

_DUPLICATE_KEY = 11000
_GROUP = 5000
TOUCH_S = 60.0
"""When a payload was last stored is remembered to so many seconds."""


class Payloads:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._payloads = database["payloads"]

    def put(self, payloads: Mapping[str, bytes]) -> set[str]:
        """Store payloads by digest (checked by the caller); returns the digests that are now stored, which may be
        fewer than asked where the write failed in part."""
        if not payloads:
            return set()
        digests, now = list(payloads), time.time()
        documents = [{"_id": digest, "data": Binary(payloads[digest]), "at": now} for digest in digests]
        with store_errors():
            try:
                self._payloads.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                failed = {digests[e["index"]]: e["code"] for e in error.details["writeErrors"]}
                here = [digest for digest, code in failed.items() if code == _DUPLICATE_KEY]
                return (set(digests) - set(failed)) | self._keep(here, now)
        return set(digests)

    def _keep(self, digests: list[str], now: float) -> set[str]:
        """Those that are still here; they are in use from now on. One round trip more, seldom three."""
        known = {"_id": {"$in": digests}}
        found = {each["_id"]: each.get("at", 0.0) for each in self._payloads.find(known, {"at": 1})}
        if all(at >= now - TOUCH_S for at in found.values()):
            return set(found)
        self._payloads.update_many(known, {"$max": {"at": now}})
        return {each["_id"] for each in self._payloads.find(known, {"_id": 1})}

    def delete_unused(self, digests: Sequence[str], before: float) -> int:
        """Remove those that were not stored (again) since `before`, seconds since 1970; returns how many went. Several
        round trips."""
        removed = 0
        for start in range(0, len(digests), _GROUP):
            old = {"_id": {"$in": digests[start : start + _GROUP]}, "at": {"$not": {"$gte": before}}}
            with store_errors():
                removed += self._payloads.delete_many(old).deleted_count
        return removed

    def get(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Those of the payloads that are here."""
        with store_errors():
            return {
                found["_id"]: bytes(found["data"]) for found in self._payloads.find({"_id": {"$in": list(digests)}})
            }

    def have(self, digests: Iterable[str]) -> set[str]:
        """Which of these are here."""
        with store_errors():
            return {found["_id"] for found in self._payloads.find({"_id": {"$in": list(digests)}}, {"_id": 1})}
