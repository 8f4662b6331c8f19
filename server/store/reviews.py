"""The collection `chunks`, asked which of them have to be looked at again: after a client was found wrong, or as a
later stage reads what has changed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from pymongo.database import Database

from server import lifecycle
from server.lifecycle import Chunk

from .connection import Document, store_errors


@dataclass(frozen=True)
class Cost:
    """Results of a job and the CPU seconds they took, in all and those of each chunk's first."""

    results: int = 0
    cpu_s: float = 0.0
    cpu_s_first: float = 0.0


class Reviews:
    """Reads only; Chunks.compare_and_set changes what was found. Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._chunks = database["chunks"]

    def newly_wrong(self, limit: int) -> list[Chunk]:
        """Chunks of any job with a wrong result from which nothing has followed yet."""
        return self._find({"wrong_clients": {"$gt": ""}}, limit, hint="wrong")

    def resting_on(self, job: str, client: str, limit: int) -> list[Chunk]:
        """Accepted chunks that rest on the word of this client alone."""
        return self._find({"job": job, "sole": client}, limit)

    def shared_by(self, job: str, clients: Collection[str], after: str, limit: int) -> list[Chunk]:
        """Chunks of a job, in order after the id `after`, with an undoubted result of one of these clients. Looks at
        all chunks of the job."""
        result = {"client": {"$in": list(clients)}, "state": "returned", "doubted": {"$ne": True}}
        query = {"_id": _of_job(job, after), "replicas": {"$elemMatch": result}}
        with store_errors():
            return [_chunk(found) for found in self._chunks.find(query).sort("_id", 1).limit(limit)]

    def any_wrong(self, job: str, client: str) -> bool:
        """Whether a client has a wrong result in a job. Looks at all of its chunks."""
        query = {"_id": _of_job(job), "replicas": {"$elemMatch": {"client": client, "wrong": True}}}
        with store_errors():
            return self._chunks.find_one(query, {"_id": 1}) is not None

    def count_wrong(self, job: str, clients: Collection[str]) -> int:
        """Wrong results of these clients in a job. Looks at all of its chunks."""
        wrong = {"replicas.wrong": True, "replicas.client": {"$in": list(clients)}}
        pipeline: list[Document] = [
            {"$match": {"_id": _of_job(job), **wrong}},
            {"$unwind": "$replicas"},
            {"$match": wrong},
            {"$count": "count"},
        ]
        with store_errors():
            return next((int(found["count"]) for found in self._chunks.aggregate(pipeline)), 0)

    def cost(self, job: str) -> Cost:
        """What the accepted chunks of a job cost. Looks at all of them."""
        returned = {"$filter": {"input": {"$ifNull": ["$replicas", []]}, "cond": {"$eq": ["$$this.state", "returned"]}}}
        spent = {"$ifNull": ["$results.cpu_s", []]}
        pipeline: list[Document] = [
            {"$match": {"_id": _of_job(job), "state": "accepted"}},
            {"$project": {"results": returned}},
            {
                "$group": {
                    "_id": None,
                    "results": {"$sum": {"$size": "$results"}},
                    "cpu_s": {"$sum": {"$sum": spent}},
                    "cpu_s_first": {"$sum": {"$ifNull": [{"$first": "$results.cpu_s"}, 0]}},
                }
            },
            {"$unset": "_id"},
        ]
        with store_errors():
            return next((Cost(**found) for found in self._chunks.aggregate(pipeline)), Cost())

    def doubted_of(self, job: str, client: str, limit: int) -> list[Chunk]:
        """Chunks with a doubted result of a client."""
        doubted = {"$elemMatch": {"client": client, "doubted": True}}
        return self._find({"_id": _of_job(job), "replicas": doubted}, limit)

    def sole_by_client(self, job: str, stage: int | None = None) -> dict[str, tuple[int, str]]:
        """By client: how many results of a job, or of a stage, rest on its word alone, and one of them by chance."""
        query: Document = {"job": job, "sole": {"$gt": ""}}
        if stage is not None:
            query["_id"] = {"$gte": f"{job}.{stage}.", "$lt": f"{job}.{stage}/"}
        drawn = {"$min": {"by": {"$rand": {}}, "chunk": "$_id"}}
        group = {"$group": {"_id": "$sole", "count": {"$sum": 1}, "drawn": drawn}}
        pipeline: list[Document] = [{"$match": query}, {"$project": {"sole": 1}}, group]
        with store_errors():
            found = self._chunks.aggregate(pipeline, hint="sole")
            return {each["_id"]: (each["count"], each["drawn"]["chunk"]) for each in found}

    def changed(self, jobs: Sequence[str], limit: int) -> list[Chunk]:
        """Accepted chunks of which later stages may have read another result."""
        return self._find({"job": {"$in": list(jobs)}, "changed": True}, limit)

    def any_due(self, job: str) -> bool:
        """Whether a job has such chunks, or wrong results from which nothing has followed yet."""
        due = {"$or": [{"job": job, "changed": True}, {"job": job, "wrong_clients": {"$gt": ""}}]}  # an index each
        with store_errors():
            return self._chunks.find_one(due, {"_id": 1}) is not None

    def taken_from(self, job: str, earlier: Sequence[str], limit: int = 1000) -> list[Chunk]:
        """Chunks of a job whose results were taken over from these earlier ones."""
        return self._find({"_id": _of_job(job), "reused": {"$in": list(earlier)}}, limit)

    def of_stage(self, job: str, stage: int, after: str, limit: int) -> list[Chunk]:
        """All chunks of a stage in order, after the id `after`."""
        query = {"_id": {"$gt": after or f"{job}.{stage}.", "$lt": f"{job}.{stage}/"}}
        with store_errors():
            return [_chunk(found) for found in self._chunks.find(query).sort("_id", 1).limit(limit)]

    def readable(self, job: str, stage: int, first: int, last: int) -> Iterator[tuple[str, int]]:
        """(digest, size) of the results [first, last) of a stage, in order: of a chunk that is being checked again the
        one that it had; if another is accepted, whatever read this one is run anew."""
        ids = {"$gte": lifecycle.chunk_id(job, stage, first), "$lt": lifecycle.chunk_id(job, stage, last)}
        known = {"$or": [{"state": "accepted"}, {"state": "open", "was": {"$gt": ""}}]}
        fields = dict.fromkeys(("state", "digest", "size", "was", "was_size"), 1)
        with store_errors():
            for found in self._chunks.find({"_id": ids, **known}, fields).sort("_id", 1):
                if found["state"] == "accepted":
                    yield found["digest"], found["size"]
                else:
                    yield found["was"], found.get("was_size", 0)

    def _find(self, query: Document, limit: int, hint: str | None = None) -> list[Chunk]:
        with store_errors():
            return [_chunk(found) for found in self._chunks.find(query, limit=limit, hint=hint)]


def _of_job(job: str, after: str = "") -> Document:
    return {"$gt": after or f"{job}.", "$lt": f"{job}/"}


def _chunk(document: Document) -> Chunk:
    document["id"] = document.pop("_id")
    return msgspec.convert(document, Chunk)
