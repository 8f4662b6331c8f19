"""Duty: closing checks. Before a stage of an adaptive job counts as complete, of each client's results that nobody
checked one, drawn among all of them, is given to another client: whoever lied towards the end is found out by chance,
and then all of its results are looked at again.

Not closed are results of trusted clients, and of a client for whom no other one is connected that could check: after
WAIT_S its word is taken, and the stated bound is as wide as it then is.
"""

from collections.abc import Sequence

from dockercomp.protocol.orders import Independence, JobSpec
from server import lifecycle
from server.amending import Amending
from server.granting import grant
from server.lifecycle import Chunk
from server.running import RunningJob, able_of, rules_of, running_job
from server.scheduling import grantee
from server.store import Store
from server.store.connection import Document

WAIT_S = 60.0
"""How long a closing check waits for somebody who can do it."""


class Closing:
    def __init__(self, store: Store, independent: Independence = "client") -> None:
        """`independent`: the least that replicas must differ in, whatever their job asks for."""
        self._store = store
        self._independent = independent
        self._amending = Amending(store)

    def closed(self, job: Document, spec: JobSpec, stage: int) -> bool:
        """Whether the results of a stage, all accepted, are closed; asks for the checks that are missing. Safe to
        repeat. A round trip for a stage without single results, up to six for others."""
        if not rules_of(spec, stage).full:
            return True
        sole = self._store.reviews.sole_by_client(job["_id"], stage)
        if not sole:
            return True
        asked = self._store.closings.of_stage(job["_id"], stage)
        drawn = {client: chunk for client, (_, chunk) in sole.items() if client not in asked}
        if drawn:
            asked = self._store.closings.ask(job["_id"], stage, drawn)
        return self._follow([each for each in asked.values() if each["state"] == "asked"])

    def give_up(self, jobs: Sequence[Document], now: float, silent_after_s: float) -> int:
        """Take the word of clients whose results nobody could check for WAIT_S; returns of how many."""
        waiting = self._store.closings.asked_before(sorted(job["_id"] for job in jobs), now - WAIT_S) if jobs else []
        by_id = {job["_id"]: running_job(job) for job in jobs if waiting}
        pool = self._store.clients.alive_since(now - silent_after_s) if waiting else []
        chunks = {chunk.id: chunk for chunk in self._store.chunks.by_ids([each["chunk"] for each in waiting])}
        alone = [
            (each["_id"], chunk)
            for each in waiting
            if (chunk := chunks.get(each["chunk"])) is not None and self._nobody_can(chunk, by_id[each["job"]], pool)
        ]
        stored = {before.id for before, _ in self._amending.change([(c, lifecycle.let_be(c)) for _, c in alone])}
        given_up = [closing for closing, chunk in alone if chunk.id in stored]
        self._store.closings.move(given_up, "given up")
        return len(given_up)

    def _follow(self, asked: Sequence[Document]) -> bool:
        """Open the chunks that are to be checked, and note the checks that are done; whether all are."""
        chunks = self._store.chunks.by_ids([each["chunk"] for each in asked])
        to_open = [chunk for chunk in chunks if lifecycle.sole(chunk)]
        self._amending.change([(chunk, lifecycle.recheck(chunk)) for chunk in to_open])
        done = {chunk.id for chunk in chunks if chunk.state == "accepted" and not lifecycle.sole(chunk)}
        self._store.closings.move([each["_id"] for each in asked if each["chunk"] in done], "closed")
        return all(each["chunk"] in done for each in asked)

    def _nobody_can(self, chunk: Chunk, job: RunningJob, pool: Sequence[Document]) -> bool:
        """Whether it waits for a check, and nobody of the pool may do it."""
        if chunk.state != "open" or chunk.need < 1:
            return False
        seekers = (grantee(client, job.spec, self._independent) for client in able_of(job, pool))
        return not any(grant(chunk, each, nonce="", deadline=0.0) for each in seekers)
