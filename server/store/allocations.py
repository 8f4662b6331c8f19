"""The collection `allocations`: what each client was given, by whom, and how far it came; the last KEPT of each."""

from collections.abc import Sequence

from pymongo.database import Database

from .connection import Document, store_errors

KEPT = 200
"""Versions of one client that are remembered. A version takes the place of the one KEPT before it, so that nothing
has to be removed."""


class Allocations:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._clients = database["clients"]
        self._allocations = database["allocations"]

    def record(self, clients: Sequence[str]) -> None:
        """Write down what these clients are given now and how far it has come. Safe to repeat: it is copied from the
        clients themselves."""
        place = {"$toString": {"$mod": ["$allocation.version", KEPT]}}
        record: Document = {
            "_id": {"$concat": ["$_id", "/", place]},
            "client": "$_id",
            "version": "$allocation.version",
            "allocation": "$allocation",
            "author": "$author",
            "at": {"$ifNull": ["$wanted_at", "$seen"]},
            "way": {"$cond": [{"$eq": ["$way.version", "$allocation.version"]}, "$way", None]},
        }
        pipeline: list[Document] = [
            {"$match": {"_id": {"$in": list(clients)}}},
            {"$project": record},
            {"$merge": {"into": "allocations", "on": "_id", "whenMatched": "replace"}},
        ]
        if clients:
            with store_errors():
                self._clients.aggregate(pipeline)

    def of_client(self, client: str, before: int | None, limit: int) -> list[Document]:
        """What a client was given, the newest first; of versions below `before`, if given."""
        query: Document = {"client": client}
        if before is not None:
            query["version"] = {"$lt": before}
        with store_errors():
            return list(self._allocations.find(query).sort("version", -1).limit(limit))
