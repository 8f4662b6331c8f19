"""The collection `curves`: what runs at each width tell of how a job's stage speeds up on one kind of machine.

A document a job, stage and kind, with the sums of protocol.messages.Point by width. Syncs add to it; `changed` until
housekeeping has noted in the job's document how much is known, so that syncs see there whether there is something new.
Nothing acknowledged rests on it: a crash may take the last counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo import UpdateOne
from pymongo.database import Database

from dockercomp.protocol.messages import Point

from .connection import QUICK, Document, store_errors

MOST_WIDTHS = 64
"""Of a document; runs at further ones are not counted."""
GRID = 20
"""Widths are told apart by twentieths of a CPU."""


@dataclass(frozen=True)
class Curve:
    """What is known of one stage of a job on one kind of machine."""

    id: str
    job: str
    stage: int
    key: str
    """Of the kind, as it stands in ids and paths."""
    kind: str
    """In words."""
    points: list[Point]


def curve_id(job: str, stage: int, key: str) -> str:
    return f"{job}/{stage}/{key}"


class Curves:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._curves = database.get_collection("curves", write_concern=QUICK)

    def add(self, curves: Sequence[Curve]) -> None:
        """Add these points to what is known; one write for all of them."""
        if curves:
            with store_errors():
                self._curves.bulk_write(
                    [UpdateOne({"_id": each.id}, [{"$set": _added(each)}], upsert=True) for each in curves],
                    ordered=False,
                )

    def by_ids(self, ids: Sequence[str]) -> list[Curve]:
        with store_errors():
            return [_curve(found) for found in self._curves.find({"_id": {"$in": list(ids)}})]

    def of_jobs(self, jobs: Sequence[str], limit: int = 1000) -> list[Curve]:
        """Of all their stages and kinds."""
        with store_errors():
            return [_curve(found) for found in self._curves.find({"job": {"$in": list(jobs)}}).limit(limit)]

    def changed(self, limit: int = 500) -> list[Curve]:
        """Such as were added to since they were noted."""
        with store_errors():
            return [_curve(found) for found in self._curves.find({"changed": True}).limit(limit)]

    def noted(self, curves: Sequence[Curve]) -> None:
        """What is known of them is noted in their jobs; one that was added to meanwhile stays changed."""
        settled = [
            UpdateOne({"_id": each.id, "runs": sum(point.runs for point in each.points)}, {"$unset": {"changed": ""}})
            for each in curves
        ]
        if settled:
            with store_errors():
                self._curves.bulk_write(settled, ordered=False)

    def remove_job(self, job: str) -> None:
        with store_errors():
            self._curves.delete_many({"job": job})


def _added(curve: Curve) -> Document:
    """The fields of a document that these points are added to. Each expression reads it as it was before."""
    change: Document = {
        "job": curve.job,
        "stage": curve.stage,
        "key": curve.key,
        "kind": {"$literal": curve.kind},
        "changed": True,
    }
    counted: list[Document] = []
    room = {"$lt": [{"$size": {"$objectToArray": {"$ifNull": ["$widths", {}]}}}, MOST_WIDTHS]}
    for point in curve.points:
        path = f"widths.w{round(point.width * GRID)}"
        fits = {"$or": [{"$ne": [{"$type": f"${path}"}, "missing"]}, room]}
        sums = {"runs": point.runs, "wall_s": point.wall_s, "wall_s2": point.wall_s2, "cpu_s": point.cpu_s}
        grown = {key: {"$add": [{"$ifNull": [f"${path}.{key}", 0]}, value]} for key, value in sums.items()}
        change[path] = {"$cond": [fits, grown, "$$REMOVE"]}
        counted.append({"$cond": [fits, point.runs, 0]})
    change["runs"] = {"$add": [{"$ifNull": ["$runs", 0]}, *counted]}
    return change


def _curve(found: Document) -> Curve:
    points = [
        Point(
            width=int(width[1:]) / GRID,
            runs=int(sums["runs"]),
            wall_s=float(sums["wall_s"]),
            wall_s2=float(sums["wall_s2"]),
            cpu_s=float(sums["cpu_s"]),
        )
        for width, sums in found.get("widths", {}).items()
    ]
    return Curve(
        id=found["_id"],
        job=found["job"],
        stage=found["stage"],
        key=found["key"],
        kind=found["kind"],
        points=sorted(points, key=lambda point: point.width),
    )
