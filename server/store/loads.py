"""The collection `loads`: how busy clients' machines were, about once a minute, for a week.

A document a client and hour. `samples` are lists: seconds since 1970, load average, CPUs and bytes that our containers
used, containers that computed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from itertools import islice

from pymongo import UpdateOne
from pymongo.database import Database

from .connection import QUICK, Document, store_errors

KEPT = timedelta(days=7)
_HOUR_S = 3600
_MOST_AN_HOUR = 120
_AT_ONCE = 1000

Sample = tuple[float, float, float, int, int]


class Loads:
    """Every method is one round trip, of `add` one for each thousand clients."""

    def __init__(self, database: Database[Document]) -> None:
        self._loads = database.get_collection("loads", write_concern=QUICK)

    def add(self, samples: Mapping[str, Sample]) -> None:
        """A sample of each of these clients."""
        waiting = iter(samples.items())
        while group := [_pushed(client, sample) for client, sample in islice(waiting, _AT_ONCE)]:
            with store_errors():
                self._loads.bulk_write(group, ordered=False)

    def of_client(self, client: str, since: float) -> list[Sample]:
        """Since that time, the oldest first."""
        # "0" is the character after "/": all hours of this client, and nothing of others.
        within = {"$gte": _id(client, since), "$lt": f"{client}0"}
        with store_errors():
            found = [each for hour in self._loads.find({"_id": within}).sort("_id", 1) for each in hour["samples"]]
        return [(at, load, cpus, int(memory), int(n)) for at, load, cpus, memory, n in found if at >= since]


def _pushed(client: str, sample: Sample) -> UpdateOne:
    hour = datetime.fromtimestamp(sample[0] // _HOUR_S * _HOUR_S, timezone.utc)
    return UpdateOne(
        {"_id": _id(client, sample[0])},
        {
            "$push": {"samples": {"$each": [list(sample)], "$slice": -_MOST_AN_HOUR}},
            "$setOnInsert": {"until": hour + KEPT + timedelta(hours=1)},
        },
        upsert=True,
    )


def _id(client: str, at: float) -> str:
    return f"{client}/{int(at // _HOUR_S):08d}"
