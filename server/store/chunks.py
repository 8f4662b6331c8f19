"""The collection `chunks`: one document a chunk, born when leased, changed only by compare-and-set on its version."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure

from server import lifecycle
from server.lifecycle import Chunk, Grantee

from .connection import QUICK, Document, store_errors

_DUPLICATE_KEY = 11000


@dataclass(frozen=True)
class Failed:
    """The given-up chunks of a stage: how many, the lowest index, and why the one of the highest index was."""

    count: int
    first: int
    error: str


class Chunks:
    """Every method is one round trip unless it says otherwise."""

    def __init__(self, database: Database[Document]) -> None:
        self._chunks = database["chunks"]
        self._leasing = self._chunks.with_options(write_concern=QUICK)

    def insert_new(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Insert chunks that must not exist yet; returns those this call inserted (of two issuers only one does)."""
        if not chunks:
            return []
        with store_errors():
            try:
                self._leasing.insert_many([_to_document(chunk, "") for chunk in chunks], ordered=False)
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if any(entry["code"] != _DUPLICATE_KEY for entry in failed):
                    raise
                refused = {entry["index"] for entry in failed}
                return [chunk for number, chunk in enumerate(chunks) if number not in refused]
        return list(chunks)

    def compare_and_set(self, changes: Sequence[tuple[Chunk, Chunk]], mark: str) -> set[str]:
        """Store each (before, after) whose document still has the version of `before`; returns the ids stored.

        One `update_many` for all, whose pipeline takes each new document from a literal array; where not all were
        changed, or the write failed half-way, a second round trip finds those that carry `mark`, which must be new.
        """
        if not changes:
            return set()
        ids = [before.id for before, _ in changes]
        versions = [before.version for before, _ in changes]
        documents = [_to_document(after, mark) for _, after in changes]
        where = {"$indexOfArray": [{"$literal": ids}, "$_id"]}
        replaced = {
            "$let": {
                "vars": {"at": where},
                "in": {
                    "$cond": [
                        {"$eq": ["$version", {"$arrayElemAt": [{"$literal": versions}, "$$at"]}]},
                        {"$arrayElemAt": [{"$literal": documents}, "$$at"]},
                        "$$ROOT",
                    ]
                },
            }
        }
        with store_errors():
            try:
                done = self._chunks.update_many({"_id": {"$in": ids}}, [{"$replaceWith": replaced}])
                if done.modified_count == len(ids):
                    return set(ids)
            except OperationFailure:
                stored = self._marked(ids, mark)
                if not stored:
                    raise
                return stored
            return self._marked(ids, mark)

    def _marked(self, ids: Sequence[str], mark: str) -> set[str]:
        return {found["_id"] for found in self._chunks.find({"_id": {"$in": ids}, "mark": mark}, {"_id": 1})}

    def of_client(self, client: str, also: Collection[str]) -> list[Chunk]:
        """The chunks that a client holds leases of, and those with the ids `also`."""
        mine = _leases_of(client)
        query: Document = {"$or": [mine, {"_id": {"$in": list(also)}}]} if also else mine
        return self._find(query)

    def needing_replicas(self, seekers: Mapping[str, Grantee], limit: int) -> list[Chunk]:
        """Open chunks that need a replica which this client may run; `seekers` is the client as each job, by id, sees
        it. Two round trips at most.

        As if clients stood in a ring: first those that the next client in the order of ids began, then the one
        after it. So clients that ask at the same time look at different chunks.
        """
        found: dict[str, Chunk] = {}  # by id: a chunk that changes between the reads may be met twice
        for order in ("$gt", "$lt"):
            if len(found) < limit:
                each = [_needy(jobs, to, order) for to, jobs in _by_seeker(seekers).items()]
                query = each[0] if len(each) == 1 else {"$or": each}
                found |= {chunk.id: chunk for chunk in self._find(query, limit=limit - len(found))}
        return list(found.values())

    def confirmed(self, job: str, stage: int, last: int, limit: int) -> list[Chunk]:
        """Some chunks of a stage of an adaptive job whose answer is that of a quorum, from index `last` downwards."""
        query = {"job": job, "known": True, **_stage(job, stage, 0, last + 1)}
        with store_errors():
            return [_from_document(found) for found in self._chunks.find(query).sort("_id", -1).limit(limit)]

    def with_class(self, job: str, limit: int = 500) -> list[Chunk]:
        """Open chunks of a job that need a replica of a class of machines."""
        return self._find({"job": job, "need": {"$gt": 0}, "cpu_kind": {"$gt": ""}}, limit=limit)

    def held_by(self, client: str, limit: int = 500) -> list[Chunk]:
        """Chunks of which this client holds leases."""
        return self._find(_leases_of(client), limit=limit)

    def holds_lease_of(self, client: str, job: str) -> bool:
        """Whether the client holds a lease of a chunk of the job."""
        one = {"$elemMatch": {"$gte": f"{client}.{job}.", "$lt": f"{client}.{job}/"}, **_SOME}
        with store_errors():
            return self._chunks.find_one({"leases": one}, {"_id": 1}) is not None

    def committed(self, client: str, digest: str) -> int | None:
        """The size of the result with this digest to which the client has committed and whose payload is awaited."""
        awaited = {"client": client, "state": "committed", "digest": digest}
        query = {**_leases_of(client), "replicas": {"$elemMatch": awaited}}
        with store_errors():
            found = self._chunks.find_one(query, {"replicas.$": 1})
        return int(found["replicas"][0]["size"]) if found else None

    def with_overdue_leases(
        self, jobs: Sequence[str], now: float, clients: Sequence[str], limit: int, paused: Sequence[str] = ()
    ) -> list[Chunk]:
        """Open chunks with a lease past its deadline, but of those of `paused`, or of one of `clients`. Looks at every
        open chunk of `jobs`."""
        late = {"deadline": {"$lt": now}, "client": {"$nin": list(paused)}}
        over = {"$or": [late, {"client": {"$in": list(clients)}}]}
        lease = {"state": {"$in": ["leased", "committed"]}, **over}
        query = {"state": "open", "job": {"$in": list(jobs)}, "replicas": {"$elemMatch": lease}}
        return self._find(query, limit=limit)

    def blamed(self, job: str, limit: int = 500) -> list[Chunk]:
        """Open chunks that a client may not run for having failed them."""
        return self._find({"job": job, "blamed": True}, limit=limit)

    def differing(self, job: str, limit: int) -> list[Chunk]:
        """Open chunks of a job whose results are not equal."""
        return self._find({"job": job, "differs": True}, limit=limit)

    def cancel_open(self, job: str) -> int:
        """End every open chunk of a job that has ended."""
        change = {"$set": {"state": "cancelled"}, "$unset": dict.fromkeys(_OF_OPEN, ""), "$inc": {"version": 1}}
        with store_errors():
            return self._chunks.update_many({"state": "open", "job": job}, change).modified_count

    def first_open(self, job: str, stage: int) -> int | None:
        """The index of the first open chunk of a stage."""
        query = {"state": "open", "job": job, **_stage(job, stage)}
        with store_errors():
            found = self._chunks.find_one(query, {"index": 1}, sort=[("_id", 1)], hint="open_in_order")
        return None if found is None else int(found["index"])

    def any_needy(self, job: str) -> bool:
        """Whether any chunk of a job that exists waits for a client."""
        with store_errors():
            return self._chunks.find_one({"job": job, "need": {"$gt": 0}}, {"_id": 1}) is not None

    def leased_before(self, job: str, deadline: float, limit: int) -> list[Chunk]:
        """Open chunks of a job that need nobody, with a live lease of an earlier deadline."""
        lease = {"state": {"$in": ["leased", "committed"]}, "deadline": {"$lt": deadline}}
        query = {"state": "open", "job": job, "need": {"$not": {"$gt": 0}}, "replicas": {"$elemMatch": lease}}
        return self._find(query, limit=limit)

    def count_leased(self, job: str) -> int:
        """Open chunks of a job that are with clients now."""
        with store_errors():
            return self._chunks.count_documents({"state": "open", "job": job, "leases.0": {"$exists": True}})

    def any_open(self, job: str) -> bool:
        with store_errors():
            return self._chunks.find_one({"state": "open", "job": job}, {"_id": 1}) is not None

    def failed_by_stage(self, job: str) -> dict[int, Failed]:
        """The given-up chunks of a job; almost always none."""
        pipeline: list[Document] = [
            {"$match": {"job": job, "state": "failed"}},
            {"$sort": {"_id": 1}},
            {
                "$group": {
                    "_id": "$stage",
                    "count": {"$sum": 1},
                    "first": {"$first": "$index"},
                    "error": {"$last": "$error"},
                }
            },
        ]
        with store_errors():
            found = self._chunks.aggregate(pipeline)
            return {each["_id"]: Failed(each["count"], each["first"], each["error"]) for each in found}

    def failed(self, job: str, limit: int) -> list[Chunk]:
        """The first given-up chunks of a job."""
        with store_errors():
            found = self._chunks.find({"job": job, "state": "failed"}).sort("_id", 1).limit(limit)
            return [_from_document(each) for each in found]

    def without_result(self, job: str, after: str, limit: int) -> list[Chunk]:
        """Chunks of a job that ended without a result (failed, or cancelled with the job), after the id `after`."""
        query = {"_id": {"$gt": after or f"{job}.", "$lt": f"{job}/"}, "state": {"$in": ["failed", "cancelled"]}}
        with store_errors():
            return [_from_document(found) for found in self._chunks.find(query).sort("_id", 1).limit(limit)]

    def with_failures(self, job: str, limit: int) -> list[Chunk]:
        """Chunks of a job that failed, then open ones of which a run failed. Two round trips at most."""
        found = self._find({"job": job, "state": "failed"}, limit=limit)
        if len(found) < limit:
            found += self._find({"job": job, "state": "open", "replicas.state": "failed"}, limit=limit - len(found))
        return found

    def count_accepted(self, job: str, stage: int, first: int = 0, last: int | None = None) -> int:
        """How many chunks of a stage, or of its [first, last), have a canonical result: counted, not cached."""
        with store_errors():
            return self._chunks.count_documents({**_stage(job, stage, first, last), "state": "accepted"})

    def canonical_results(
        self, job: str, stage: int, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[int, str, int]]:
        """(index, digest, size) of a stage's accepted chunks, of all or of [first, last), in chunk order, streamed."""
        query = {**_stage(job, stage, first, last), "state": "accepted"}
        with store_errors():
            for found in self._chunks.find(query, {"index": 1, "digest": 1, "size": 1}).sort("_id", 1):
                yield found["index"], found["digest"], found["size"]

    def verdict_counts(self, job: str) -> Document:
        """Results returned, outvoted and failed of a whole job, counted from its chunks."""
        pipeline: list[Document] = [
            {"$match": {"_id": {"$gte": f"{job}.", "$lt": f"{job}/"}}},
            {"$unwind": "$replicas"},
            {
                "$group": {
                    "_id": None,
                    "returned": {"$sum": {"$cond": [{"$eq": ["$replicas.state", "returned"]}, 1, 0]}},
                    "wrong": {"$sum": {"$cond": [{"$eq": ["$replicas.wrong", True]}, 1, 0]}},
                    "failed": {"$sum": {"$cond": [{"$eq": ["$replicas.state", "failed"]}, 1, 0]}},
                }
            },
        ]
        with store_errors():
            found = next(iter(self._chunks.aggregate(pipeline)), None)
        return found or {"returned": 0, "wrong": 0, "failed": 0}

    def by_id(self, chunk: str) -> Chunk | None:
        found = self._find({"_id": chunk}, limit=1)
        return found[0] if found else None

    def mean_run(self, job: str, stage: int, sample: int = 200) -> float | None:
        """Mean seconds that results of a stage ran, by its first chunks; None where nothing tells."""
        pipeline: list[Document] = [
            {"$match": {**_stage(job, stage), "state": "accepted"}},
            {"$limit": sample},
            {"$unwind": "$replicas"},
            {"$match": {"replicas.wall_s": {"$gt": 0}}},
            {"$group": {"_id": None, "mean": {"$avg": "$replicas.wall_s"}}},
        ]
        with store_errors():
            found = next(iter(self._chunks.aggregate(pipeline)), None)
        return None if found is None else float(found["mean"])

    def by_ids(self, chunks: Sequence[str]) -> list[Chunk]:
        return self._find({"_id": {"$in": list(chunks)}}) if chunks else []

    def page(self, job: str, stage: int | None, state: str, after: str, limit: int) -> list[Chunk]:
        """Chunks of a job in order, after the id `after`."""
        query: Document = _stage(job, stage) if stage is not None else {"_id": {"$gte": f"{job}.", "$lt": f"{job}/"}}
        if after:
            query["_id"]["$gt"] = after
        if state:
            query["state"] = state
        with store_errors():
            return [_from_document(found) for found in self._chunks.find(query).sort("_id", 1).limit(limit)]

    def digests(self, job: str, stage: int) -> Iterator[str]:
        """The digests of all results of a stage, chosen or not, some more than once; streamed."""
        fields = {"digest": 1, "replicas.digest": 1}
        with store_errors():
            for found in self._chunks.find(_stage(job, stage), fields):
                yield from (each["digest"] for each in found.get("replicas", []) if each.get("digest"))
                if found.get("digest"):
                    yield found["digest"]

    def remove_job(self, job: str) -> None:
        with store_errors():
            self._chunks.delete_many({"_id": {"$gte": f"{job}.", "$lt": f"{job}/"}})

    def _find(self, query: Document, limit: int = 0) -> list[Chunk]:
        with store_errors():
            return [_from_document(found) for found in self._chunks.find(query, limit=limit)]


def _by_seeker(seekers: Mapping[str, Grantee]) -> dict[Grantee, list[str]]:
    jobs: dict[Grantee, list[str]] = {}
    for job, to in seekers.items():
        jobs.setdefault(to, []).append(job)
    return jobs


def _needy(jobs: Sequence[str], to: Grantee, order: str) -> Document:
    """Chunks that need a replica and that lifecycle.grant would give to this client."""
    query = {"job": {"$in": jobs}, "need": {"$gt": 0}, "by": {order: to.client}, "barred": {"$ne": to.client}}
    if to.cpu_kind:
        query["cpu_kind"] = {"$in": [None, to.cpu_kind]}
    if to.independent != "client":
        query["owners"] = {"$ne": to.owner}
    if to.independent == "address":
        query["blocks"] = {"$ne": to.block}
    return query


def _leases_of(client: str) -> Document:
    """Lease ids begin with their client's id and a point."""
    return {"leases": {"$elemMatch": {"$gte": f"{client}.", "$lt": f"{client}/"}, **_SOME}}


def _stage(job: str, stage: int, first: int = 0, last: int | None = None) -> Document:
    """The chunks of a stage, or its [first, last)."""
    end = f"{job}.{stage}/" if last is None else lifecycle.chunk_id(job, stage, last)
    return {"_id": {"$gte": lifecycle.chunk_id(job, stage, first), "$lt": end}}


_SOME = {"$gt": ""}
"""Says that there is one: without it the index of those that have some would not be used."""
_OF_OPEN = ("need", "barred", "by", "owners", "blocks", "leases", "blamed", "differs")
"""What documents have of open chunks only."""


def _to_document(chunk: Chunk, mark: str) -> Document:
    """Default values are left out: there may be 10^9 of them. What the indexes ask is derived in the same write, so it
    is never out of step."""
    document: Document = msgspec.to_builtins(chunk)
    document["_id"] = document.pop("id")
    document["state"], document["version"] = chunk.state, chunk.version
    if mark:
        document["mark"] = mark
    if leases := lifecycle.live_leases(chunk):
        document["leases"] = leases
    if chunk.need > 0:
        document |= _asked_of_needy(chunk)
    if chunk.state == "open":
        document |= _true(blamed=lifecycle.blamed(chunk), differs=lifecycle.differs(chunk))
    elif chunk.state == "accepted" and chunk.full:
        alone = lifecycle.sole(chunk)
        document |= {"sole": alone} if alone else _true(known=lifecycle.confirmed(chunk))
    if wrong := lifecycle.newly_wrong(chunk):
        document["wrong_clients"] = wrong
    return document | {"changed": True} if lifecycle.changed(chunk) else document


def _true(**facts: bool) -> Document:
    return {name: True for name, fact in facts.items() if fact}


def _asked_of_needy(chunk: Chunk) -> Document:
    """Of a chunk that needs a replica: who may have it."""
    barred, others = lifecycle.barred_clients(chunk), lifecycle.participants(chunk)
    return {
        "barred": barred,
        "by": barred[0] if barred else _NOBODY,
        "owners": list({r.owner for r in others}),
        "blocks": list({r.block for r in others}),
    }


_NOBODY = "-"
"""Who began a chunk that nobody has had yet; sorts before every client."""


def _from_document(document: dict[str, Any]) -> Chunk:
    document["id"] = document.pop("_id")
    return msgspec.convert(document, Chunk)
