"""The collection `clients`: one document a volunteer's machine, renewed by each of its syncs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from server.progress import Standing

from .connection import DATABASE_TIME, QUICK, Document, store_errors
from .way import drifted_after, pauses_after, way_after

_COUNTED = ("agreed", "wrong", "faults", "late")
"""What a client's reputation is made of."""


class Clients:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._clients = database["clients"]
        self._quick = self._clients.with_options(write_concern=QUICK)

    def enrol(self, client: Document) -> Document | None:
        """Insert a new client, or give the one with the same `request` what it gets by its present token; returns the
        stored one, None where an admin has barred it."""
        renewed = {key: client[key] for key in ("secret_hash", "token", "owner", "trusted", "seen") if key in client}
        fixed = {key: value for key, value in client.items() if key not in ("state", "request", *renewed)}
        where = {"request": client["request"], "barred": {"$ne": True}}
        change: Document = {"$set": {**renewed, "state": "alive"}, "$setOnInsert": fixed}
        after = ReturnDocument.AFTER
        with store_errors():
            try:
                return self._clients.find_one_and_update(where, change, upsert=True, return_document=after)
            except DuplicateKeyError:  # barred, or the same request came twice at once
                return self._clients.find_one_and_update(where, {"$set": change["$set"]}, return_document=after)

    def heard(
        self,
        client: str,
        secret_hash: str,
        session: str,
        seq: int,
        report: Document,
        *,
        told: Standing | None = None,
        paused: bool = False,
        patience: float = 0.0,
    ) -> Document | None:
        """Renew a client, and with it all of its leases; None where there is no such client with this secret.

        `told` is what it says of its allocation, `paused` whether its containers stand still, `patience` how many
        seconds more than usual it may be quiet after this. The returned document has the database's time in `seen`;
        `repeat`: this (session, seq) was seen before; `stale`: a later seq of this session was answered already;
        `recast`: what it allows, or its machine, is another than before.
        """
        same = {"$eq": ["$session", {"$literal": session}]}
        seen = {key: {"$literal": value} for key, value in report.items()}
        # One $set, so that every expression reads the document as it was before.
        change = {
            "repeat": {"$and": [same, {"$eq": ["$seq", seq]}]},
            "stale": {"$and": [same, {"$gt": ["$seq", seq]}]},
            "session": {"$literal": session},
            "seq": {"$cond": [same, {"$max": ["$seq", seq]}, seq]},
            "seen": DATABASE_TIME,
            "silent": False,
            "patience": patience,
            "recast": _recast(report),
            **way_after(told),
            **drifted_after(told),
            **pauses_after(paused),
            **seen,
        }
        with store_errors():
            return self._quick.find_one_and_update(
                {"_id": client, "secret_hash": secret_hash, "state": "alive"},
                [{"$set": change}],
                return_document=ReturnDocument.AFTER,
            )

    def authentic(self, client: str, secret_hash: str) -> Document | None:
        """The client with this id and secret."""
        with store_errors():
            return self._clients.find_one({"_id": client, "secret_hash": secret_hash, "state": "alive"})

    def by_id(self, client: str) -> Document | None:
        with store_errors():
            return self._clients.find_one({"_id": client})

    def named(self, name: str) -> Document | None:
        """The client of this name heard of last."""
        with store_errors():
            return self._clients.find_one({"name": name}, sort=[("seen", -1)])

    def page(self, after: str, limit: int) -> list[Document]:
        with store_errors():
            return list(self._clients.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit))

    def alive_since(self, since: float) -> list[Document]:
        """Clients that are not silent, by what was expected of them then: what the pool can do now."""
        told = ("owner", "name", "allocation", "applied", "machine", "refused_jobs", "session", "address", "token")
        fields = dict.fromkeys((*told, "trusted", "findings", "counters.jobs", "ceiling.allows"), 1)
        with store_errors():
            return list(self._clients.find({"state": "alive", **_heard_since(since)}, fields))

    def loads_since(self, since: float) -> list[Document]:
        """What clients heard of since that time last said of their machines' load."""
        told = ("load", "containers.cpus_used", "containers.memory_used", "containers.state")
        with store_errors():
            return list(self._clients.find({"state": "alive", **_heard_since(since)}, dict.fromkeys(told, 1)))

    def count_alive(self, now: float) -> int:
        """How many clients called within the last minutes."""
        with store_errors():
            return self._clients.count_documents({"state": "alive", "seen": {"$gte": now - 2 * MOST_PATIENCE}})

    def lately_paused(self, since: float) -> list[str]:
        """Clients, not silent, whose containers stood still at some time since then: their leases last longer."""
        query = {"state": "alive", "silent": {"$ne": True}, "pauses.stop": {"$gte": since}}
        with store_errors():
            return [each["_id"] for each in self._clients.find(query, {"_id": 1})]

    def totals(self, silent_before: float) -> Document:
        """`alive`, `silent`; of those alive the `containers` they have and how many of them are `running`, and on how
        many all that is given is `verified`, some part of it is `waiting`, or one has `failed`."""
        alive = {"$and": [{"$gte": [_EXPECTED, silent_before]}, {"$ne": ["$leaving", True]}]}
        states = {"$ifNull": ["$containers.state", []]}
        running = {"$filter": {"input": states, "cond": {"$eq": ["$$this", "running"]}}}
        told = {"$eq": ["$applied.version", "$allocation.version"]}
        some = {state: {"$in": [state, {"$ifNull": ["$applied.parts.state", []]}]} for state in ("failed", "waiting")}
        counts = {
            "alive": {"$cond": [alive, 1, 0]},
            "silent": {"$cond": [alive, 0, 1]},
            "containers": {"$cond": [alive, {"$size": states}, 0]},
            "running": {"$cond": [alive, {"$size": running}, 0]},
            "verified": {"$cond": [{"$and": [alive, VERIFIED]}, 1, 0]},
            "failed": {"$cond": [{"$and": [alive, told, some["failed"]]}, 1, 0]},
            "waiting": {"$cond": [{"$and": [alive, told, some["waiting"], {"$not": [some["failed"]]}]}, 1, 0]},
        }
        group = {"_id": None, **{name: {"$sum": value} for name, value in counts.items()}}
        with store_errors():
            found = next(iter(self._clients.aggregate([{"$match": {"state": "alive"}}, {"$group": group}])), None)
        return found or dict.fromkeys(counts, 0)

    def needing_attention(self, silent_before: float, limit: int) -> list[Document]:
        """Clients, not retired, that are silent, marked, refuse a job, tell of a problem, or cannot carry out a part of
        what they are given."""
        reasons = [
            _quiet_since(silent_before),
            {"marked": {"$gt": ""}},
            {"refused_jobs.0": {"$exists": True}},
            {"problems.0": {"$exists": True}},
            {"applied.parts.state": "failed"},
        ]
        with store_errors():
            return list(self._clients.find({"state": "alive", "$or": reasons}).sort("seen", -1).limit(limit))

    def watch(self, clients: str | Sequence[str], seconds: float) -> None:
        """Someone looks at this client, or at these: until `seconds` from now their syncs are asked for at short
        intervals."""
        watched = {"_id": {"$in": [clients] if isinstance(clients, str) else list(clients)}}
        with store_errors():
            self._quick.update_many(watched, [{"$set": {"watched_until": {"$add": [DATABASE_TIME, seconds]}}}])

    def newly_silent(self, before: float) -> list[str]:
        """Clients not heard of since `before` whose leases have not been taken back yet."""
        query = {"state": "alive", "silent": {"$ne": True}, **_quiet_since(before)}
        with store_errors():
            return [found["_id"] for found in self._clients.find(query, {"_id": 1})]

    def lately_gone(self, before: float) -> list[str]:
        """Clients that fell silent, or were retired, in the day before `before`."""
        with store_errors():
            query = {"state": {"$in": ["alive", "retired"]}, **_quiet_since(before)}
            query["seen"] |= {"$gt": before - 86_400}
            found = self._clients.find(query, {"_id": 1})
            return [each["_id"] for each in found]

    def set_silent(self, client: str, before: float) -> None:
        """Its leases were taken back; undone by its next sync."""
        dead = [{"$set": {"silent": True, "containers": []}}]
        with store_errors():
            self._clients.update_one({"_id": client, **_quiet_since(before)}, dead)

    def retire(self, before: float) -> int:
        """Retire clients not heard of since `before`; a retired one has to enrol again."""
        with store_errors():
            return self._clients.update_many(
                {"state": "alive", "seen": {"$lt": before}}, {"$set": {"state": "retired", "containers": []}}
            ).modified_count

    def retire_one(self, client: str) -> None:
        """It leaves for good."""
        with store_errors():
            self._clients.update_one({"_id": client}, {"$set": {"state": "retired", "containers": []}})

    def bar(self, client: str) -> bool:
        """An admin retires it: the same machine does not come back by enrolling again. False where there is none."""
        barred = {"state": "retired", "barred": True, "containers": []}
        with store_errors():
            return bool(self._clients.update_one({"_id": client}, {"$set": barred}).matched_count)

    def by_token(self, tokens: Sequence[str]) -> dict[str, int]:
        """How many clients that were not retired came by each of these enrolment tokens."""
        match = {"token": {"$in": list(tokens)}, "state": "alive"}
        with store_errors():
            found = self._clients.aggregate([{"$match": match}, {"$group": {"_id": "$token", "count": {"$sum": 1}}}])
            return {each["_id"]: each["count"] for each in found}

    def of_token(self, token: str) -> list[str]:
        """The clients that came by this enrolment token and were not retired."""
        with store_errors():
            return [each["_id"] for each in self._clients.find({"token": token, "state": "alive"}, {"_id": 1})]

    def allocate(self, changes: Sequence["Given"]) -> int:
        """Give clients other allocations, each where its version is still the one that was read and, if it is to be
        given only while it follows its group, where it does; returns to how many."""
        with store_errors():
            return self._clients.bulk_write([each.write() for each in changes], ordered=False).matched_count

    def tag(self, client: str, tags: Sequence[str]) -> Document | None:
        """Give a client these tags and no others; returns it, None where there is no such client."""
        with store_errors():
            return self._clients.find_one_and_update(
                {"_id": client}, {"$set": {"tags": list(tags)}}, return_document=ReturnDocument.AFTER
            )

    def for_groups(self, clients: Sequence[str] | None = None) -> list[Document]:
        """Clients with what decides their group and what it gives them: these, or all that are not retired."""
        query: Document = {"state": "alive"} if clients is None else {"_id": {"$in": list(clients)}}
        with store_errors():
            return list(self._clients.find(query, _FOR_GROUPS))

    def members(self, group: str, after: str = "", limit: int = 0) -> list[Document]:
        """The clients of a group that are not retired, in the order of their ids; 0: all of them."""
        with store_errors():
            query = {"group": group, "state": "alive", "_id": {"$gt": after}}
            return list(self._clients.find(query).sort("_id", 1).limit(limit))

    def members_counted(self) -> dict[str, Document]:
        """By group: how many `members` it has, how many are `following`, and of how many all is `verified`."""
        counts = {
            "members": 1,
            "following": {"$cond": [{"$eq": ["$follows", True]}, 1, 0]},
            "verified": {"$cond": [VERIFIED, 1, 0]},
        }
        group = {"_id": "$group", **{name: {"$sum": value} for name, value in counts.items()}}
        match = {"state": "alive", "group": {"$gt": ""}}
        with store_errors():
            return {each["_id"]: each for each in self._clients.aggregate([{"$match": match}, {"$group": group}])}

    def count(self, changes: Sequence[tuple[str, Mapping[str, float], Document]]) -> None:
        """Add (client, counters, fields) to the clients' counts, and set fields."""
        writes = []
        for client, counters, fields in changes:
            update: Document = {"$inc": {f"counters.{key}": value for key, value in counters.items()}}
            if fields:
                update["$set"] = fields
            writes.append(UpdateOne({"_id": client}, update))
        if writes:
            with store_errors():
                self._quick.bulk_write(writes, ordered=False)

    def found_wrong(self, client: str, job: str, reason: str) -> None:
        """It was found wrong in a job: durable, where what a sync counted of it may be lost."""
        with store_errors():
            self._clients.update_one(
                {"_id": client, f"findings.{job}": {"$exists": False}},
                [{"$set": {"marked": {"$literal": reason}, f"findings.{job}": _finding(reason)}}],
            )

    def cleared(self, client: str, job: str, results: int) -> None:
        """So many results of it in a job were not wrong after all: nothing of that is left on it. Safe to repeat."""
        wrong = {"$max": [0, {"$subtract": [{"$ifNull": ["$counters.wrong", 0]}, results]}]}
        left = {"$arrayToObject": {"$filter": {"input": _PAIRS, "cond": {"$ne": ["$$this.k", job]}}}}
        agreed = {"$cond": [{"$gt": ["$counters.wrong", 0]}, "$counters.agreed", "$counters.valid"]}
        with store_errors():
            self._clients.update_one(
                {"_id": client, f"findings.{job}": {"$exists": True}},
                [
                    {"$set": {"counters.wrong": wrong, "findings": left}},
                    {
                        "$set": {
                            "counters.agreed": {"$ifNull": [agreed, 0]},
                            "marked": {"$ifNull": [{"$last": _REASONS}, ""]},
                        }
                    },
                    {"$unset": f"counters.jobs.{job}.wrong"},
                ],
            )

    def forgive(self, client: str, by: str, reason: str) -> bool:
        """A fresh start, given by an admin: nothing that was found of it counts any more, and it is new again. False
        where there is no such client."""
        forgiven = {"by": {"$literal": by}, "reason": {"$literal": reason}, "at": DATABASE_TIME}
        fresh: Document = {"findings": {"$literal": {}}, "marked": "", "forgiven": forgiven}
        fresh |= {"counters.jobs": {"$literal": {}}, **{f"counters.{key}": 0 for key in (*_COUNTED, "valid")}}
        with store_errors():
            return bool(self._clients.update_one({"_id": client}, [{"$set": fresh}]).matched_count)

    def forget_addresses(self, before: float) -> int:
        """Forget where clients called from that were not heard of since `before`; returns of how many."""
        with store_errors():
            return self._clients.update_many(
                {"seen": {"$lt": before}, "address": {"$gt": ""}}, {"$set": {"address": ""}}
            ).modified_count

    def sum_up_owners(self) -> None:
        """Note on each client what was counted of all clients of its owner, retired ones too, if they are several."""
        sums = {key: {"$sum": f"$counters.{key}"} for key in _COUNTED}
        record = {key: f"$sums.{key}" for key in _COUNTED}
        pipeline: list[Document] = [
            {"$project": {"owner": 1, "owner_record": 1, **{f"counters.{key}": 1 for key in _COUNTED}}},
            {
                "$setWindowFields": {
                    "partitionBy": "$owner",
                    "output": {"several": {"$sum": 1}, **{f"sums.{key}": each for key, each in sums.items()}},
                }
            },
            {"$match": {"several": {"$gt": 1}, "$expr": {"$ne": ["$owner_record", record]}}},
            {"$project": {"owner_record": record}},
            {"$merge": {"into": "clients", "on": "_id", "whenMatched": "merge", "whenNotMatched": "discard"}},
        ]
        with store_errors():
            self._clients.aggregate(pipeline)

    def forget_job(self, job: str) -> None:
        """What was counted of a job that has ended is of no more use."""
        path = f"counters.jobs.{job}"
        with store_errors():
            self._quick.update_many({path: {"$exists": True}}, {"$unset": {path: ""}})


MOST_PATIENCE = 60.0
"""More than any client is ever asked to wait beyond the usual, in seconds."""

_EXPECTED = {"$add": ["$seen", {"$ifNull": ["$patience", 0]}]}
"""When a client was heard of last, or was to call again at the latest where it was asked to call seldom."""


def _quiet_since(before: float) -> Document:
    return {"seen": {"$lt": before}, "$expr": {"$lt": [_EXPECTED, before]}}


def _heard_since(since: float) -> Document:
    return {"seen": {"$gte": since - MOST_PATIENCE}, "$expr": {"$gte": [_EXPECTED, since]}}


@dataclass(frozen=True)
class Given:
    """What one client is to be given."""

    client: str
    version: int
    """Of the allocation that it has; the new one has the next."""
    group: str
    author: str
    allocation: Document | None
    """None: only its group changes."""
    follows: bool
    only_followers: bool = False

    def write(self) -> UpdateOne:
        where: Document = {"_id": self.client, "allocation.version": self.version}
        if self.only_followers:
            where["follows"] = True
        change: Document = {"group": {"$literal": self.group}}
        if self.allocation is not None:
            change |= {"allocation": {"$literal": self.allocation}, "author": {"$literal": self.author}}
            change |= {"wanted_at": DATABASE_TIME, "follows": self.follows}
        return UpdateOne(where, [{"$set": change}])


VERIFIED = {"$and": [{"$eq": ["$way.version", "$allocation.version"]}, {"$gt": ["$way.verified_since", 0]}]}
"""Whether all of what a client is given now is in force, and was read back."""

_FOR_GROUPS = dict.fromkeys(
    ("owner", "name", "machine", "ceiling", "tags", "group", "follows", "allocation", "author", "state"), 1
)

_OF_MACHINE = ("cpus", "memory", "platform")
"""What of a machine decides its group, and what can be given to it."""


def _recast(report: Document) -> Document:
    """Whether a sync tells of another ceiling, or of another machine, than the client had."""
    changed: list[Document] = []
    if "ceiling" in report:
        changed.append({"$ne": ["$ceiling", {"$literal": report["ceiling"]}]})
    if "machine" in report:
        told = report["machine"]
        changed += [{"$ne": [f"$machine.{each}", {"$literal": told.get(each)}]} for each in _OF_MACHINE]
    return {"$or": changed}


_PAIRS = {"$objectToArray": {"$ifNull": ["$findings", {}]}}
"""What was found of a client, by job."""
_REASONS = {"$map": {"input": _PAIRS, "in": "$$this.v.reason"}}


def _finding(reason: str) -> Document:
    return {"reason": {"$literal": reason}, "at": DATABASE_TIME}
