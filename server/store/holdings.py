"""The collections `holdings` and `quotas`: who brought which uploads, and what admins gave people of their own."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pymongo.database import Database

from dockercomp.protocol.quotas import Amounts

from .connection import QUICK, Document, store_errors


class Holdings:
    """What is counted against quotas. What several people brought counts for each of them."""

    def __init__(self, database: Database[Document]) -> None:
        self._holdings = database["holdings"]
        self._quick = self._holdings.with_options(write_concern=QUICK)
        self._quotas = database["quotas"]
        self._jobs, self._images, self._chunks = database["jobs"], database["images"], database["chunks"]

    def hold(self, person: str, digest: str, size: int) -> None:
        """Note an upload that begins, or turns out larger; one atomic round trip, safe to repeat."""
        document = {"person": person, "digest": digest, "at": time.time()}
        change = {"$set": document, "$max": {"size": size}, "$setOnInsert": {"shown": 0}}
        with store_errors():
            self._holdings.update_one({"_id": f"{digest} {person}"}, change, upsert=True)

    def show(self, person: str, digest: str, offset: int, end: int) -> None:
        """This person has sent the bytes from `offset` to `end`; counts where they had sent all before."""
        with store_errors():
            self._quick.update_one({"_id": f"{digest} {person}", "shown": offset}, {"$set": {"shown": end}})

    def shown(self, person: str, digests: Sequence[str]) -> dict[str, int]:
        """Up to where this person has sent the bytes of these uploads, from their beginnings; of those that began."""
        ids = [f"{digest} {person}" for digest in digests]
        with store_errors():
            found = self._holdings.find({"_id": {"$in": ids}, "shown": {"$exists": True}}, {"digest": 1, "shown": 1})
            return {each["digest"]: int(each["shown"]) for each in found}

    def size(self, person: str, digest: str) -> int | None:
        """Bytes that this upload counts with; None where it never began."""
        with store_errors():
            found = self._holdings.find_one({"_id": f"{digest} {person}"}, {"size": 1})
        return None if found is None else int(found["size"])

    def begun(self, before: float) -> Iterator[str]:
        """Digests of uploads of some size that began before then, in seconds since 1970; one once for each person."""
        query: Document = {"size": {"$gt": 0}, "at": {"$not": {"$gte": before}}}
        with store_errors():
            yield from (each["digest"] for each in self._holdings.find(query, {"digest": 1}))

    def forget(self, digests: Sequence[str]) -> None:
        """Uploads that are gone count no more."""
        if digests:
            with store_errors():
                self._holdings.delete_many({"digest": {"$in": list(digests)}})

    def of(self, person: str) -> Amounts:
        """What somebody has. A handful of round trips."""
        with store_errors():
            running = [each["_id"] for each in self._jobs.find({"owner": person, "state": "running"}, {"_id": 1})]
            return Amounts(
                jobs=len(running),
                stored=self.stored(person),
                chunks=self.running_chunks(running),
                images=self._images.count_documents({"owner": person}),
            )

    def stored(self, person: str) -> int:
        """Bytes of a person's uploads, and of accepted results of jobs that are not yet gone."""
        with store_errors():
            uploads = _sum(self._holdings.aggregate([{"$match": {"person": person}}, _summed("$size")]))
            kept = {"$max": [0, {"$ifNull": ["$counters.kept_bytes", 0]}]}
            results = _sum(self._jobs.aggregate([{"$match": {"owner": person}}, _summed(kept)]))
        return uploads + results

    def running_chunks(self, jobs: Sequence[str]) -> int:
        """Chunks of these jobs that somebody holds a lease of."""
        query = {"job": {"$in": list(jobs)}, "state": "open", "leases.0": {"$exists": True}}
        with store_errors():
            return self._chunks.count_documents(query) if jobs else 0

    def own_quota(self, person: str) -> dict[str, int]:
        """What an admin gave this person; the rest is the master's default."""
        with store_errors():
            found = self._quotas.find_one({"_id": person}, {"_id": 0}) or {}
        return {name: int(amount) for name, amount in found.items()}

    def give_quota(self, person: str, amounts: Mapping[str, int]) -> None:
        with store_errors():
            self._quotas.replace_one({"_id": person}, dict(amounts), upsert=True)

    def with_bound_chunks(self) -> dict[str, int]:
        """People whose chunks an admin bounded, each with their bound (0: none)."""
        with store_errors():
            return {each["_id"]: int(each["chunks"]) for each in self._quotas.find({"chunks": {"$exists": True}})}


def _summed(what: object) -> Document:
    return {"$group": {"_id": None, "sum": {"$sum": what}}}


def _sum(found: Iterable[Document]) -> int:
    return sum(int(each["sum"]) for each in found)
