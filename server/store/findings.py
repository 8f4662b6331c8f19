"""The collection `findings`: that a client was found wrong in a job, and how far what follows from it has come.

    state        moved on by
    found        lookback: what rests on the client's word alone is opened again
    shared       lookback: so is what rests on its word and on those of others that were found wrong
    done         lookback, where one of those who outvoted it is found wrong: judging. Noted again: found
    judging      lookback: done, or taken back where it was not wrong after all
    taken back   noted again: found
    resting      its job failed or was cancelled before the end of the look back: found, when it runs again

A finding has the chunks that showed it (`chunks`), those who outvoted it there (`by`), whether results of the job were
accepted on its word alone (`sole`), and how many chunks were opened again (`opened`).
"""

from collections.abc import Collection, Sequence

from pymongo.database import Database

from .connection import DATABASE_TIME, Document, store_errors

PENDING = ("found", "shared", "judging")


class Findings:
    """Every method is one round trip unless it says otherwise."""

    def __init__(self, database: Database[Document]) -> None:
        self._findings = database["findings"]

    def note(self, job: str, client: str, owner: str, chunk: str, by: Sequence[str]) -> None:
        """A client was found wrong in a chunk. Safe to repeat; it begins again where the look back was over."""
        kept: Document = {
            "job": {"$literal": job},
            "client": {"$literal": client},
            "owner": {"$literal": owner},
            "at": {"$ifNull": ["$at", DATABASE_TIME]},
            "state": "found",
            "chunks": {"$setUnion": [{"$ifNull": ["$chunks", []]}, [chunk]]},
            "by": {"$setUnion": [{"$ifNull": ["$by", []]}, list(by)]},
            "opened": {"$ifNull": ["$opened", 0]},
            "sole": {"$ifNull": ["$sole", False]},
        }
        with store_errors():
            self._findings.update_one({"_id": f"{job}/{client}"}, [{"$set": kept}], upsert=True)

    def pending(self, limit: int = 100) -> list[Document]:
        """Findings from which something is still to follow, of each state the oldest: those that wait for a judgement
        do not keep others from their turn. A round trip for each state."""
        with store_errors():
            return [
                found for state in PENDING for found in self._findings.find({"state": state}).sort("at", 1).limit(limit)
            ]

    def any_pending(self, job: str) -> bool:
        with store_errors():
            return self._findings.find_one({"job": job, "state": {"$in": list(PENDING)}}, {"_id": 1}) is not None

    def move(self, finding: Document, state: str, **change: object) -> bool:
        """To another state; False where it has left that of `finding` meanwhile."""
        where = {"_id": finding["_id"], "state": finding["state"], "chunks": finding["chunks"]}
        with store_errors():
            return bool(self._findings.update_one(where, {"$set": {"state": state, **change}}).matched_count)

    def opened(self, finding: Document, count: int) -> None:
        """So many chunks more were opened again that rested on its word alone."""
        with store_errors():
            self._findings.update_one({"_id": finding["_id"]}, {"$inc": {"opened": count}, "$set": {"sole": True}})

    def of_job(self, job: str) -> list[Document]:
        """What was found in a job and holds, the oldest first."""
        with store_errors():
            return list(self._findings.find({"job": job, "state": {"$ne": "taken back"}}).sort("at", 1))

    def of_client(self, client: str, limit: int = 20) -> list[Document]:
        """What was found of a client, also what was taken back, the newest first."""
        with store_errors():
            return list(self._findings.find({"client": client}).sort("at", -1).limit(limit))

    def outvoted_by(self, job: str, clients: Collection[str]) -> list[Document]:
        """Findings of a job whose look back is over and which rest on the word of one of these clients."""
        with store_errors():
            return list(self._findings.find({"job": job, "state": "done", "by": {"$in": list(clients)}}))

    def wake(self, job: str) -> None:
        """The job runs again."""
        with store_errors():
            self._findings.update_many({"job": job, "state": "resting"}, {"$set": {"state": "found"}})

    def remove_job(self, job: str) -> None:
        with store_errors():
            self._findings.delete_many({"job": job})
