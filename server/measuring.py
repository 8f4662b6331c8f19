"""Duty: measuring running jobs, for estimates and for dealing out what is left."""

from collections.abc import Sequence

import msgspec

from server import dealing, eta, lifecycle
from server.eta import Sample
from server.lifecycle import Chunk
from server.running import RunningJob, able_of, containers_of, leased_s_ago, running_job, speed_of, stages_of
from server.store import Store
from server.store.connection import Document

SLOW = 2.0
"""A chunk whose lease is so many times older than results of its job are on average may be given to one more client."""
SHORTEST_SLOW_S = 2.0
_MOST_SLOW = 64
_ENOUGH_RUNS = 3


class Measuring:
    """What is noted on a job: `samples` (eta), `pool` (its speed), `owners_able` (owners of clients that can run it),
    `slow` (chunks that a second client may run)."""

    def __init__(self, store: Store, silent_after_s: float) -> None:
        self._store = store
        self._silent_after_s = silent_after_s

    def measure(self, jobs: Sequence[Document], now: float) -> None:
        """Note what is due of these running jobs: three round trips at most, one or two more for each in its tail."""
        begun = [job for job in jobs if not (job.get("waits_for") or job.get("reuse"))]
        noted = {job["_id"]: fields for job in begun if (fields := self._slow(job, now))}
        due = [job for job in begun if eta.due(samples_of(job), now, job["created"])]
        if due:
            pool = self._store.clients.alive_since(now - self._silent_after_s)
            for job in due:
                noted.setdefault(job["_id"], {}).update(_measured(job, pool, now))
        self._store.jobs.note_many(noted)

    def _slow(self, job: Document, now: float) -> Document:
        """The list of slow chunks, where it changed. It is empty while there is other work."""
        running = running_job(job)
        found = [chunk.id for chunk in self._slow_chunks(running, now)] if not running.fresh else []
        return {"slow": found} if found != job.get("slow", []) else {}

    def _slow_chunks(self, job: RunningJob, now: float) -> list[Chunk]:
        counters = job.document.get("counters", {})
        if counters.get("runs", 0) < _ENOUGH_RUNS or self._store.chunks.any_needy(job.id):
            return []
        limit = max(SHORTEST_SLOW_S, SLOW * counters.get("turn_s", 0.0) / counters["runs"])
        found = self._store.chunks.leased_before(job.id, job.deadline_of(now - limit), _MOST_SLOW)
        aged = [(leased_s_ago(job, chunk, now), chunk) for chunk in found if lifecycle.may_be_doubled(chunk)]
        return [chunk for age, chunk in sorted(aged, key=lambda each: (-each[0], each[1].id)) if age >= limit]


def samples_of(job: Document) -> list[Sample]:
    return [Sample(*each) for each in job.get("samples", [])]


def _measured(job: Document, pool: Sequence[Document], now: float) -> Document:
    able = able_of(running_job(job), pool)
    stages, counters = stages_of(job), job.get("counters", {})
    last = max((number for number, stage in enumerate(stages) if stage["limit"] > 0), default=0)
    accepted = sum(int(counters.get(f"accepted_{number}", 0)) for number in range(last + 1))
    sample = Sample(now, last, accepted, sum(containers_of(client) for client in able))
    samples = eta.with_next(samples_of(job), sample)
    speeds = [speed_of(client, job["_id"]) for client in able]
    return {
        "samples": [[each.at, each.stage, each.accepted, each.containers] for each in samples],
        "pool": msgspec.to_builtins(dealing.pool_of(speeds)),
        "owners_able": len({client["owner"] for client in able}),
    }
