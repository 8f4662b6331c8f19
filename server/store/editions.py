"""The collection `jobs`, where results of a job turn out to be wrong: it is kept from moving on while its chunks are
opened again (`reviewing`; `reviews` counts how often), and a completed one runs again for the next `edition` of its
result."""

from collections.abc import Sequence

from pymongo.database import Database

from .connection import DATABASE_TIME, Document, store_errors
from .jobs import OF_THE_END


class Editions:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = database["jobs"]

    def review(self, job: str) -> bool:
        """Keep a running job from being moved on while its chunks are opened again; False where it does not run."""
        with store_errors():
            change = {"$set": {"reviewing": True}, "$inc": {"reviews": 1}}
            return bool(self._jobs.update_one({"_id": job, "state": "running"}, change).matched_count)

    def reviewed(self, job: str) -> None:
        """It may move on."""
        with store_errors():
            self._jobs.update_one({"_id": job}, {"$unset": {"reviewing": ""}})

    def withdraw(self, job: str, reason: str) -> bool:
        """Let a completed job run again, in review: its result is not good any more for `reason`. What it had stands
        under `superseded`, and `edition` counts its results. False where it is not completed."""
        kept = ("result", "ended", "trust")
        superseded = {
            **{key: f"${key}" for key in kept},
            "edition": {"$ifNull": ["$edition", 1]},
            "reason": {"$literal": reason},
            "at": DATABASE_TIME,
        }
        change: list[Document] = [
            {
                "$set": {
                    "superseded": {"$concatArrays": [{"$ifNull": ["$superseded", []]}, [superseded]]},
                    "edition": {"$add": [{"$ifNull": ["$edition", 1]}, 1]},
                    "reviews": {"$add": [{"$ifNull": ["$reviews", 0]}, 1]},
                    "state": "running",
                    "reviewing": True,
                    "withdrawn": {"$literal": reason},
                }
            },
            {"$unset": sorted({*OF_THE_END, *kept, "receipt_due"} - {"reviewing"})},
        ]
        with store_errors():
            return bool(self._jobs.update_one({"_id": job, "state": "completed"}, change).modified_count)

    def built_on(self, jobs: Sequence[str]) -> list[Document]:
        """Jobs, not removed, that took over results of these or read them."""
        query = {"built_on": {"$in": list(jobs)}, "state": {"$ne": "removed"}}
        with store_errors():
            return list(self._jobs.find(query, {"order": 0}))

    def warn(self, job: str, sentence: str) -> None:
        """Note what its owner has to know of a job, also of one that has ended; the notice of it is due again."""
        with store_errors():
            change: Document = {"$set": {"warning": sentence}, "$pull": {"told": "doubtful"}}
            self._jobs.update_one({"_id": job}, change)
