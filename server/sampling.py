"""Duty: how busy clients' machines are is sampled once a minute, and kept as a series for a week."""

from datetime import datetime, timezone
from math import isfinite
from typing import Any

from dockercomp.protocol.views import LoadSample, LoadSeries
from server.store import Store
from server.store.connection import Document
from server.store.loads import Sample

EVERY_S = 60.0
_MOST = 1e12


class Sampling:
    def __init__(self, store: Store, silent_after_s: float) -> None:
        self._store = store
        self._silent_after_s = silent_after_s
        self._next = 0.0

    def round(self, now: float) -> int:
        """Take a sample of each client that is heard of, if a minute has passed at `now`, the database's time; returns
        of how many."""
        if now < self._next:
            return 0
        self._next = now + EVERY_S
        samples = {
            client["_id"]: sample_of(client, now)
            for client in self._store.clients.loads_since(now - self._silent_after_s)
        }
        self._store.loads.add(samples)
        return len(samples)


def sample_of(client: Document, now: float) -> Sample:
    """What a client last said of its machine. What is no number counts as nothing."""
    containers = [each for each in client.get("containers") or [] if isinstance(each, dict)]
    return (
        round(now, 1),
        round(_number(client.get("load")), 2),
        round(sum(_number(each.get("cpus_used")) for each in containers), 3),
        int(sum(_number(each.get("memory_used")) for each in containers)),
        sum(each.get("state") == "running" for each in containers),
    )


def series_of(store: Store, client: Document, since: float) -> LoadSeries:
    """A client's samples since that time."""
    samples = [
        LoadSample(at=_moment(at), load=load, cpus_used=cpus, memory_used=memory, containers=containers)
        for at, load, cpus, memory, containers in store.loads.of_client(client["_id"], since)
    ]
    cpus = _number((client.get("machine") or {}).get("cpus"))
    return LoadSeries(client=client["_id"], cpus=int(cpus), samples=samples)


def _number(value: Any) -> float:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and value > 0
    return min(float(value), _MOST) if usable else 0.0


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
