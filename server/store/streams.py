"""The collection `streams`: what running chunks tell of themselves, for the eye. Nothing rests on it.

A document a lease, with its last parts of log and output. It goes when its lease ends, or a day after it was last heard
of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bson import Binary
from pymongo import DeleteMany, UpdateOne
from pymongo.database import Database

from dockercomp.protocol.messages import RunningReport

from .connection import QUICK, Document, store_errors

KEPT = 256 * 1024
"""Bytes of log, and of output, that are kept of a lease, or somewhat more where they came in very small parts."""
_SMALL_PART = 1024
KINDS = ("log", "output")


@dataclass(frozen=True)
class Told:
    """A report of a running chunk, and which it is."""

    job: str
    stage: int
    index: int
    report: RunningReport


class Streams:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._streams = database.get_collection("streams", write_concern=QUICK)

    def take(self, client: str, told: Sequence[Told], ended: Sequence[str]) -> None:
        """Keep what a client told, and forget what it told of leases that ended. Nothing where there is neither."""
        changes: list[UpdateOne | DeleteMany] = [UpdateOne(*_change(client, each), upsert=True) for each in told]
        if ended:
            changes.append(DeleteMany({"_id": {"$in": list(ended)}, "client": client}))
        if changes:
            with store_errors():
                self._streams.bulk_write(changes, ordered=False)

    def of_job(self, job: str, limit: int) -> list[Document]:
        """What is known of a job's running chunks, with the last part of their logs only. `ago` is seconds."""
        last: Document = {"log": {"$slice": ["$log", -1]}, "output": []}
        ago = {"$divide": [{"$subtract": ["$$NOW", "$at"]}, 1000]}
        with store_errors():
            return list(
                self._streams.aggregate(
                    [
                        {"$match": {"job": job}},
                        {"$sort": {"stage": 1, "index": 1, "_id": 1}},
                        {"$limit": limit},
                        {"$set": {**last, "ago": ago}},
                    ]
                )
            )

    def read(self, job: str, lease: str, kind: str) -> tuple[int, bytes]:
        """The last bytes of a lease's log or output, and the offset of the first of them."""
        with store_errors():
            found = self._streams.find_one({"_id": lease, "job": job}, {kind: 1})
        return joined((found or {}).get(kind, []))


def joined(parts: Sequence[Document]) -> tuple[int, bytes]:
    """(offset, bytes) of the parts that follow each other up to the end; a part that came twice counts once."""
    begin, held = 0, b""
    for part in parts:
        at, data = part["at"], bytes(part["data"])
        end = begin + len(held)
        if at > end or not held:
            begin, held = at, data
        elif at + len(data) > end:
            held += data[end - at :]
    return begin, held


def _change(client: str, told: Told) -> tuple[Document, Document]:
    report = told.report
    fields = {
        "client": client,
        "job": told.job,
        "stage": told.stage,
        "index": told.index,
        "seconds": report.seconds,
        "progress": report.progress,
        "message": report.message,
        "checkpoint": report.checkpoint,
    }
    parts = {"log": (report.log_from, report.log), "output": (report.output_from, report.output)}
    push = {
        kind: {"$each": [{"at": at, "data": Binary(data)}], "$slice": -(KEPT // max(len(data), _SMALL_PART))}
        for kind, (at, data) in parts.items()
        if data
    }
    change: Document = {"$set": fields, "$currentDate": {"at": True}}
    if push:
        change["$push"] = push
    return {"_id": report.lease}, change
