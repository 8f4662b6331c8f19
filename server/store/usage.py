"""The collection `usage`: what each owner of jobs has used of the pool lately, for dealing it out fairly."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from .connection import DATABASE_TIME, QUICK, Document, store_errors

HALF_LIFE_S = 24 * 3600.0
"""What was used so long ago counts half."""


class Usage:
    """Every method is one round trip. `used` is seconds of containers, decayed up to the time `at`."""

    def __init__(self, database: Database[Document]) -> None:
        self._usage = database["usage"].with_options(write_concern=QUICK)

    def charge(self, seconds: Mapping[str, float]) -> None:
        """Add to what owners have used."""
        writes = [
            UpdateOne(
                {"_id": owner},
                [{"$set": {"used": {"$add": [_now_counts("$used"), amount]}, "at": DATABASE_TIME}}],
                upsert=True,
            )
            for owner, amount in seconds.items()
        ]
        if writes:
            with store_errors():
                self._usage.bulk_write(writes, ordered=False)

    def of(self, owners: Iterable[str]) -> dict[str, float]:
        """What these owners have used, as it counts now; those never charged are left out."""
        with store_errors():
            found = self._usage.find({"_id": {"$in": list(owners)}}, {"counts": _now_counts("$used")})
            return {each["_id"]: float(each["counts"]) for each in found}


def _now_counts(used: str) -> Any:
    """`used`, decayed from the time `at` of its document until now."""
    ago = {"$subtract": [DATABASE_TIME, {"$ifNull": ["$at", DATABASE_TIME]}]}
    return {"$multiply": [{"$ifNull": [used, 0.0]}, {"$pow": [0.5, {"$divide": [ago, HALF_LIFE_S]}]}]}
