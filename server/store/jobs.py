"""The collection `jobs`: one document a job, whatever the number of its chunks.

Its `stages`, by number as text, have each a `name`, a `total` of chunks, a `limit` up to which they may be handed out,
and a `cursor`. The cursor hands out fresh index ranges by one atomic increment, which also notes the range as open;
inserting its chunks takes it off. A range that stays open was handed out by a master that died, and is issued again.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import translate
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from dockercomp.protocol.messages import SignedOrder
from server.allocations import CPUS_CLOSE

from .connection import DATABASE_TIME, QUICK, Document, store_errors

OF_THE_END = (
    *("ended", "error", "swept", "missing", "missing_count", "samples", "slow", "again", "told", "notice", "reviewing"),
)
"""What a job that runs again forgets."""
_ENDED = ("completed", "failed", "cancelled")
_LIGHT = {"order": 0, "signature": 0, "scientist": 0, "scientist_signature": 0, "open_ranges": 0}
"""Left out where many jobs are read."""
_FOR_SYNCS = {**_LIGHT, "samples": 0, "missing": 0, "spec.input.parameters": 0}


class Jobs:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = database["jobs"]
        self._quick = self._jobs.with_options(write_concern=QUICK)

    def insert(self, job: Document) -> Document:
        """Store a submission; where the owner sent the same Idempotency-Key before, the job of then is returned."""
        with store_errors():
            try:
                self._jobs.insert_one(job)
            except DuplicateKeyError:
                earlier = self._jobs.find_one({"owner": job["owner"], "idempotency_key": job["idempotency_key"]})
                if earlier is None:
                    raise
                return earlier
        return job

    def submitted(self, owner: str, idempotency_key: str) -> bool:
        """Whether this submission was made before."""
        query = {"owner": owner, "idempotency_key": idempotency_key}
        with store_errors():
            return bool(idempotency_key) and self._jobs.find_one(query, {"_id": 1}) is not None

    def by_id(self, job: str) -> Document | None:
        with store_errors():
            return self._jobs.find_one({"_id": job, "state": {"$ne": "removed"}})

    def owner_of(self, job: str) -> str | None:
        """Whose job it is; None where there is none."""
        with store_errors():
            found = self._jobs.find_one({"_id": job, "state": {"$ne": "removed"}}, {"owner": 1})
        return str(found["owner"]) if found else None

    def of_owner(self, jobs: Sequence[str], owner: str) -> set[str]:
        """Which of these jobs are this person's."""
        with store_errors():
            return {found["_id"] for found in self._jobs.find({"_id": {"$in": list(jobs)}, "owner": owner}, {"_id": 1})}

    def running(self, limit: int = 100, owner: str = "") -> list[Document]:
        """Jobs that have work, of all or of one person, oldest first."""
        query = {"state": "running", **({"owner": owner} if owner else {})}
        with store_errors():
            return list(self._jobs.find(query, _LIGHT).sort("created", 1).limit(limit))

    def asking(self, limit: int = 100) -> list[Document]:
        """Running jobs whose chunks are questions to people, oldest first."""
        query = {"state": "running", "spec.map.question": {"$type": "string"}}
        with store_errors():
            return list(self._jobs.find(query, _LIGHT).sort("created", 1).limit(limit))

    def count_running(self, owner: str = "") -> int:
        """Of all, or of one person."""
        with store_errors():
            return self._jobs.count_documents({"state": "running", **({"owner": owner} if owner else {})})

    def running_for(
        self,
        platform: str,
        memory: int,
        also: Sequence[str],
        limit: int = 100,
        allows: Sequence[str] = (),
        width: float = math.inf,
        given: Sequence[str] = (),
    ) -> list[Document]:
        """Running jobs that a client of this platform with `memory` bytes and `width` CPUs a container can run, and
        those of `also` that run, oldest first. Where they are more than `limit`, some of each owner. `allows` are the
        wants that its volunteer consents to, `given` the patterns of jobs that its admin does; none: all."""
        consented = {"wants": {"$not": {"$elemMatch": {"$nin": list(allows)}}}}
        wide = {"spec.resources.least_cpus": {"$not": {"$gt": width + CPUS_CLOSE}}}
        fit: Document = {"image.platform": platform, "memory": {"$lte": memory}, **consented, **wide}
        if given:
            fit["$or"] = [
                {field: {"$regex": f"^{translate(each)}"}} for each in given for field in ("_id", "spec.name")
            ]
        query = {"state": "running", "$or": [fit, {"_id": {"$in": list(also)}}]}
        with store_errors():
            found = list(self._jobs.find(query, _FOR_SYNCS).sort("created", 1).limit(limit))
            return found if len(found) < limit else self._some_of_each_owner(query, also, limit)

    def _some_of_each_owner(self, query: Document, also: Sequence[str], limit: int) -> list[Document]:
        """The jobs of `also`, then each owner's first job (by priority, then age), then each one's second …"""
        place = {"partitionBy": "$owner", "sortBy": {"order": 1}, "output": {"place": {"$documentNumber": {}}}}
        older = {"$subtract": ["$created", {"$multiply": [{"$ifNull": ["$spec.priority", 0]}, 1e10]}]}
        pipeline: list[Document] = [
            {"$match": query},
            {"$project": _FOR_SYNCS},
            {"$set": {"order": older}},
            {"$setWindowFields": place},
            {"$set": {"place": {"$cond": [{"$in": ["$_id", list(also)]}, 0, "$place"]}}},
            {"$sort": {"place": 1, "created": 1}},
            {"$limit": limit},
            {"$unset": ["place", "order"]},
        ]
        return list(self._jobs.aggregate(pipeline))

    def with_open_ranges(self, older_than: float) -> list[Document]:
        """Running jobs with a range handed out before `older_than` whose chunks may not all exist."""
        query = {"state": "running", "open_ranges.at": {"$lt": older_than}}
        with store_errors():
            return list(self._jobs.find(query))

    def ended_among(self, jobs: Sequence[str]) -> list[str]:
        """Which of these jobs no longer run (or are unknown)."""
        with store_errors():
            alive = {
                found["_id"] for found in self._jobs.find({"_id": {"$in": list(jobs)}, "state": "running"}, {"_id": 1})
            }
        return [job for job in jobs if job not in alive]

    def orders(self, jobs: Sequence[str]) -> list[Document]:
        """The signed orders of these jobs."""
        signed = ("order", "signature", "key", "scientist_key", "scientist", "scientist_signature")
        with store_errors():
            return list(self._jobs.find({"_id": {"$in": list(jobs)}}, dict.fromkeys(signed, 1)))

    def page(self, before: tuple[float, str] | None, limit: int, owner: str = "") -> list[Document]:
        """Jobs, of all or of one person, newest first, older than the (created, id) of the page before."""
        query: Document = {"state": {"$ne": "removed"}, **({"owner": owner} if owner else {})}
        if before is not None:
            query |= {"$or": [{"created": {"$lt": before[0]}}, {"created": before[0], "_id": {"$lt": before[1]}}]}
        with store_errors():
            return list(self._jobs.find(query, _LIGHT).sort([("created", -1), ("_id", -1)]).limit(limit))

    def take_range(self, job: str, stage: int, count: int, range_id: str) -> tuple[int, int] | None:
        """Take up to `count` fresh indexes [start, stop) of a stage; None where there are none to hand out now."""
        path = f"stages.{stage}"
        cursor, limit = f"${path}.cursor", f"${path}.limit"
        stop = {"$min": [limit, {"$add": [cursor, count]}]}
        opened = {
            "id": {"$literal": range_id},
            "stage": {"$literal": stage},
            "start": cursor,
            "stop": stop,
            "at": DATABASE_TIME,
        }
        with store_errors():
            before = self._quick.find_one_and_update(
                {"_id": job, "state": "running", "$expr": {"$lt": [cursor, limit]}},
                [{"$set": {f"{path}.cursor": stop, "open_ranges": {"$concatArrays": ["$open_ranges", [opened]]}}}],
                projection={path: 1},
                return_document=ReturnDocument.BEFORE,
            )
        if before is None:
            return None
        found = before["stages"][str(stage)]
        return found["cursor"], min(found["limit"], found["cursor"] + count)

    def close_range(self, job: str, range_id: str) -> None:
        """The range's chunks exist."""
        with store_errors():
            self._quick.update_one({"_id": job}, {"$pull": {"open_ranges": {"id": range_id}}})

    def count(self, job: str, changes: Mapping[str, float], closed_ranges: Sequence[str] = ()) -> Document:
        """Add to the counters, which are caches for the eye, and close ranges, whose chunks exist; returns all
        counters as they are then."""
        update: Document = {"$inc": {f"counters.{key}": value for key, value in changes.items()}} if changes else {}
        if closed_ranges:
            update["$pull"] = {"open_ranges": {"id": {"$in": list(closed_ranges)}}}
        with store_errors():
            after = self._quick.find_one_and_update(
                {"_id": job},
                update,
                projection={"counters": 1},
                return_document=ReturnDocument.AFTER,
            )
        return after["counters"] if after else {}

    def set_counters(self, job: str, counters: Document) -> None:
        with store_errors():
            self._jobs.update_one({"_id": job}, {"$set": {f"counters.{key}": value for key, value in counters.items()}})

    def open_stage(self, job: str, stage: int, limit: int, below: Document) -> bool:
        """Let chunks of a stage be handed out up to `limit`, and note things about the stage `below` it; False where
        that many were allowed before."""
        path = f"stages.{stage}.limit"
        change = {path: limit, **{f"stages.{stage - 1}.{key}": value for key, value in below.items()}}
        with store_errors():
            return bool(
                self._jobs.update_one(
                    {"_id": job, "state": "running", path: {"$lt": limit}}, {"$set": change}
                ).modified_count
            )

    def with_recipe(self, owner: str, recipe: str, limit: int) -> list[Document]:
        """The owner's newest jobs with this recipe that have begun."""
        query = {"owner": owner, "recipe": recipe, "waits_for.0": {"$exists": False}}
        with store_errors():
            return list(self._jobs.find(query, _LIGHT).sort("created", -1).limit(limit))

    def ids_with_recipe(self, owner: str, recipe: str, limit: int) -> list[str]:
        """The owner's newest jobs with this recipe."""
        query = {"owner": owner, "recipe": recipe}
        with store_errors():
            return [found["_id"] for found in self._jobs.find(query, {"_id": 1}).sort("created", -1).limit(limit)]

    def begin_after_waiting(self, job: str, change: Document) -> bool:
        """Give a job that waited for others what follows from their results. Once only."""
        with store_errors():
            waits = {"_id": job, "state": "running", "waits_for.0": {"$exists": True}}
            return bool(self._jobs.update_one(waits, {"$set": {**change, "waits_for": []}}).modified_count)

    def pass_over(self, job: str, stage: int, start: int, stop: int) -> None:
        """Move a stage's cursor from `start` to `stop`: the chunks between them exist already."""
        path = f"stages.{stage}.cursor"
        with store_errors():
            self._quick.update_one({"_id": job, "state": "running", path: start}, {"$set": {path: stop}})

    def begin(self, job: str, *, cursor: int, reused: int) -> bool:
        """Let the chunks of a job's map be handed out from `cursor` on, after so many were taken over. Once only."""
        change = {
            "stages.0.cursor": cursor,
            "stages.0.limit": "$stages.0.total",
            "counters.accepted_0": reused,
            "reused": reused,
        }
        with store_errors():
            return bool(
                self._jobs.update_one(
                    {"_id": job, "state": "running", "stages.0.limit": 0}, [{"$set": change}, {"$unset": "reuse"}]
                ).modified_count
            )

    def note_many(self, changes: Mapping[str, Document]) -> None:
        """Set fields of running jobs: measurements, of which the last may be lost."""
        writes = [UpdateOne({"_id": job, "state": "running"}, {"$set": fields}) for job, fields in changes.items()]
        if writes:
            with store_errors():
                self._quick.bulk_write(writes, ordered=False)

    def note(self, job: str, change: Document) -> bool:
        """Set fields of a running job; False where it does not run any more."""
        with store_errors():
            return bool(self._jobs.update_one({"_id": job, "state": "running"}, {"$set": change}).matched_count)

    def complete(self, job: str, reviews: int | None, change: Document) -> bool:
        """End a running job as completed; False where it does not run, or a review began since `reviews` was read."""
        return self.end(job, "completed", change, {"reviews": reviews, "reviewing": {"$ne": True}})

    def end(self, job: str, state: str, change: dict[str, Any], where: Document | None = None) -> bool:
        """Move a running job to a final state; False where it had ended before, or is not as `where` says."""
        with store_errors():
            return bool(
                self._jobs.update_one(
                    {"_id": job, "state": "running", **(where or {})},
                    [
                        {
                            "$set": {
                                "state": state,
                                "ended": DATABASE_TIME,
                                "swept": False,
                                **{k: {"$literal": v} for k, v in change.items()},
                            }
                        }
                    ],
                ).modified_count
            )

    def signed_by_others(self, key: str) -> Iterator[tuple[str, bytes]]:
        """Jobs whose order does not carry the signature of this key, and their orders; streamed."""
        with store_errors():
            for found in self._jobs.find({"key": {"$ne": key}, "order": {"$exists": True}}, {"order": 1}):
                yield found["_id"], found["order"]

    def sign_again(self, job: str, signed: SignedOrder) -> None:
        """Put another signature over the same order."""
        with store_errors():
            change = {"$set": {"signature": signed.signature, "key": signed.key}}
            self._jobs.update_one({"_id": job, "order": signed.body}, change)

    def without_receipt(self, limit: int = 20) -> list[Document]:
        """Completed jobs whose receipt was not made yet, whole."""
        with store_errors():
            return list(self._jobs.find({"receipt_due": True, "state": "completed"}).limit(limit))

    def keep_receipt(self, job: str, edition: int, receipt: Document) -> bool:
        """Keep the receipt of a completed job's present edition; False where it has one. Once only."""
        path = f"receipts.{edition}"
        same = {"$eq": [{"$ifNull": ["$edition", 1]}, edition]}
        where = {"_id": job, "state": "completed", path: {"$exists": False}, "$expr": same}
        with store_errors():
            change = {"$set": {path: receipt}, "$unset": {"receipt_due": ""}}
            return bool(self._jobs.update_one(where, change).modified_count)

    def run_again(self, job: str) -> bool:
        """Let a failed or cancelled job run; until `opened` it is marked as one whose chunks are being opened."""
        forgotten = dict.fromkeys(OF_THE_END, "")
        ended = {"_id": job, "state": {"$in": ["failed", "cancelled"]}}
        with store_errors():
            change = {"$set": {"state": "running", "reopening": True}, "$unset": forgotten}
            return bool(self._jobs.update_one(ended, change).modified_count)

    def opened(self, job: str) -> None:
        """Every chunk of a job that runs again is open."""
        with store_errors():
            self._jobs.update_one({"_id": job}, {"$unset": {"reopening": ""}})

    def remove(self, job: str) -> bool:
        """Let nobody see an ended job any more; what it refers to is freed later."""
        ended = {"_id": job, "state": {"$in": list(_ENDED)}}
        gone: list[Document] = [
            {"$set": {"state": "removed", "removed": DATABASE_TIME}},
            {"$unset": ["idempotency_key", "recipe"]},
        ]
        with store_errors():
            return bool(self._jobs.update_one(ended, gone).modified_count)

    def remove_ended(self, before: float, limit: int = 100) -> int:
        """Remove jobs that ended before that time, the oldest at first; returns how many."""
        query = {"state": {"$in": list(_ENDED)}, "ended": {"$lt": before}}
        with store_errors():
            found = [each["_id"] for each in self._jobs.find(query, {"_id": 1}).sort("created", 1).limit(limit)]
        return sum(self.remove(job) for job in found)

    def removed(self, before: float, limit: int = 100) -> list[Document]:
        """Jobs that were removed before that time and whose contents may still be stored."""
        with store_errors():
            return list(self._jobs.find({"state": "removed", "removed": {"$lt": before}}).limit(limit))

    def every(self) -> Iterator[Document]:
        """Every job that there is now, also removed ones, one by one: a round trip each."""
        with store_errors():
            for job in [found["_id"] for found in self._jobs.find({}, {"_id": 1})]:
                found = self._jobs.find_one({"_id": job}, {"order": 0})
                if found is not None:
                    yield found

    def forget(self, job: str) -> None:
        """The last of a removed job."""
        with store_errors():
            self._jobs.delete_one({"_id": job, "state": "removed"})

    def with_somebody_to_tell(self, limit: int = 500) -> list[Document]:
        """Jobs whose scientist wants to be told, that run or whose end was not told yet; running ones first."""
        told = {"$in": ["$state", {"$ifNull": ["$told", []]}]}
        left = [{"$expr": {"$not": [told]}}, {"warning": {"$exists": True}, "told": {"$ne": "doubtful"}}]
        query = {"spec.notify": {"$exists": True}, "state": {"$ne": "removed"}, "$or": left}
        with store_errors():
            return list(self._jobs.find(query, _LIGHT).sort("state", -1).limit(limit))

    def told(self, job: str, event: str) -> None:
        """Everybody was told, or tried often enough."""
        with store_errors():
            change = {"$addToSet": {"told": event}, "$unset": {"notice": ""}, "$inc": {"notices": 1}}
            self._jobs.update_one({"_id": job}, change)

    def note_notice(self, job: str, fields: Document) -> None:
        """What is known of telling, also of a job that has ended."""
        with store_errors():
            self._jobs.update_one({"_id": job}, {"$set": fields})

    def waits_no_longer(self, job: str) -> None:
        """If it waits again, that is told again."""
        with store_errors():
            self._jobs.update_one({"_id": job}, {"$unset": {"waits_since": ""}, "$pull": {"told": "waits"}})

    def unswept(self, limit: int = 20) -> list[str]:
        """Ended jobs whose open chunks have not been cancelled yet."""
        with store_errors():
            return [found["_id"] for found in self._jobs.find({"swept": False}, {"_id": 1}).limit(limit)]

    def set_swept(self, job: str) -> bool:
        """Nothing of this ended job is open any more; False where it runs again meanwhile."""
        with store_errors():
            ended = {"_id": job, "state": {"$ne": "running"}}
            return bool(self._jobs.update_one(ended, {"$set": {"swept": True}}).matched_count)
