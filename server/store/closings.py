"""The collection `closings`: of each client, stage and job the check that closes the run of its unchecked results.

state     moved on by
asked     closing: closed, once another client's result decided; or given up, where nobody else can check
closed    -
given up  -
"""

from collections.abc import Mapping, Sequence

from pymongo.database import Database
from pymongo.errors import BulkWriteError

from .connection import DATABASE_TIME, Document, store_errors

_DUPLICATE_KEY = 11000


class Closings:
    """Every method is one round trip unless it says otherwise."""

    def __init__(self, database: Database[Document]) -> None:
        self._closings = database["closings"]

    def of_stage(self, job: str, stage: int) -> dict[str, Document]:
        """By client."""
        with store_errors():
            return {each["client"]: each for each in self._closings.find({"job": job, "stage": stage})}

    def ask(self, job: str, stage: int, drawn: Mapping[str, str]) -> dict[str, Document]:
        """Note which chunk is checked for each client; of two who draw at once, the first one's counts. Returns those
        of the stage; three round trips."""
        made = [
            {"_id": f"{job}/{stage}/{client}", "job": job, "stage": stage, "client": client, "chunk": chunk}
            for client, chunk in drawn.items()
        ]
        with store_errors():
            try:
                self._closings.insert_many([{**each, "state": "asked"} for each in made], ordered=False)
            except BulkWriteError as error:
                if any(entry["code"] != _DUPLICATE_KEY for entry in error.details["writeErrors"]):
                    raise
            ids = [each["_id"] for each in made]
            self._closings.update_many({"_id": {"$in": ids}, "at": None}, [{"$set": {"at": DATABASE_TIME}}])
        return self.of_stage(job, stage)

    def asked_before(self, jobs: Sequence[str], at: float, limit: int = 500) -> list[Document]:
        """Checks of these jobs asked for before that time that are not done, and those of which a master that died
        noted no time."""
        asked = {"state": "asked", "job": {"$in": list(jobs)}, "$or": [{"at": {"$lt": at}}, {"at": None}]}
        with store_errors():
            return list(self._closings.find(asked).limit(limit))

    def move(self, closings: list[str], state: str) -> None:
        with store_errors():
            self._closings.update_many({"_id": {"$in": closings}, "state": "asked"}, {"$set": {"state": state}})

    def of_job(self, job: str) -> list[Document]:
        with store_errors():
            return list(self._closings.find({"job": job}))

    def forget(self, job: str, stage: int = 0) -> None:
        """Of a stage and those after it: they are run anew."""
        with store_errors():
            self._closings.delete_many({"job": job, "stage": {"$gte": stage}})
