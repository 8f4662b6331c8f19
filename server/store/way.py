"""How far a client's allocation has come, as expressions for the one write that each sync makes anyway. No I/O.

`way` is of the version that is wanted now: `sent` with the first answer that carries it, `received` when the worker
first tells of it, `applied` and `verified` when that was so first; `applied_since` and `verified_since` are forgotten
when it is not so any more. All by the database's clock.
"""

from server.progress import Standing

from .connection import DATABASE_TIME, Document

STEPS = ("sent", "received", "applied", "verified")
"""In their order; each is a field of `way`, the time when it was first so."""
_PAUSES_KEPT = 32
_LAST: Document = {"$last": "$pauses"}


def way_after(told: Standing | None) -> Document:
    """The fields of `way` after a sync; `told` None: it says nothing of its allocation."""
    arrived = {"$eq": ["$allocation.version", told.version if told else -1]}
    applied, verified = bool(told and told.applied), bool(told and told.verified)
    return {
        "way.version": "$allocation.version",
        "way.sent": {"$ifNull": [_kept("sent"), DATABASE_TIME]},
        "way.received": _first("received", arrived, True),
        "way.applied": _first("applied", arrived, applied),
        "way.verified": _first("verified", arrived, verified),
        "way.applied_since": _since("applied_since", arrived, applied, told),
        "way.verified_since": _since("verified_since", arrived, verified, told),
    }


def drifted_after(told: Standing | None) -> Document:
    """What was last put right and since when: the same words in one sync after the other are one event."""
    if told is None or not told.drifted:
        return {} if told is None else {"drifting": ""}
    words = {"$literal": told.drifted}
    event = {"what": words, "at": DATABASE_TIME}
    return {"drifting": words, "drifted": {"$cond": [{"$eq": ["$drifting", words]}, "$drifted", event]}}


def pauses_after(paused: bool) -> Document:
    """The spans in which containers stood still, each drawn out by the next sync that still finds them so."""
    if not paused:
        return {"standing_still": False}
    now = DATABASE_TIME
    spans = {"$ifNull": ["$pauses", []]}
    going_on = {"$eq": ["$standing_still", True]}
    ended = {"$filter": {"input": spans, "cond": {"$not": [{"$and": [going_on, {"$eq": ["$$this", _LAST]}]}]}}}
    start = {"$cond": [going_on, {"$ifNull": [{"$last": "$pauses.start"}, now]}, now]}
    drawn_out = {"$concatArrays": [{"$slice": [ended, -_PAUSES_KEPT]}, [{"start": start, "stop": now}]]}
    return {"standing_still": True, "pauses": drawn_out}


def _kept(step: str) -> Document:
    """A field of the way as it is, if it is that of the version wanted now."""
    return {"$cond": [{"$eq": ["$way.version", "$allocation.version"]}, {"$ifNull": [f"$way.{step}", None]}, None]}


def _first(step: str, arrived: Document, met: bool) -> Document:
    kept = _kept(step)
    return {"$ifNull": [kept, {"$cond": [arrived, DATABASE_TIME, None]}]} if met else kept


def _since(step: str, arrived: Document, met: bool, told: Standing | None) -> Document:
    if told is None:
        return _kept(step)
    return {"$cond": [arrived, _first(step, arrived, True), None]} if met else {"$literal": None}
