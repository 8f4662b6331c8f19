"""The collection `payloads`: results up to INLINE_LIMIT, content-addressed, stored before their chunks move on."""

from collections.abc import Iterable, Mapping

from bson import Binary
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from .connection import Document, store_errors

_DUPLICATE_KEY = 11000


class Payloads:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._payloads = database["payloads"]

    def put(self, payloads: Mapping[str, bytes]) -> set[str]:
        """Store payloads by digest (checked by the caller); returns the digests that are now stored, which may be
        fewer than asked where the write failed in part."""
        if not payloads:
            return set()
        digests = list(payloads)
        documents = [{"_id": digest, "data": Binary(payloads[digest])} for digest in digests]
        with store_errors():
            try:
                self._payloads.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                lost = {e["index"] for e in error.details["writeErrors"] if e["code"] != _DUPLICATE_KEY}
                return {digest for number, digest in enumerate(digests) if number not in lost}
        return set(digests)

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
