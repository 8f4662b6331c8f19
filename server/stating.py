"""Duty: stating how wrong a job's result may be, and what checking it cost, on the job's document (`trust`)."""

import time
from collections.abc import Sequence

import msgspec

from dockercomp.protocol.views import TrustView
from server import bound, trust
from server.bound import Basis, Evidence
from server.drawing import terms_of
from server.running import RunningJob, asks_people, rules_of, running_job
from server.store import Store
from server.store.connection import Document

EVERY_S = 30.0
PAUSE = 50.0
"""Looking at a job's checks takes at most one part in so many of the time."""


class Stating:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._next: dict[str, float] = {}

    def note(self, jobs: Sequence[Document], now: float) -> None:
        """State what is known so far of running jobs, of each every EVERY_S, or seldomer where that takes long."""
        self._next = {job["_id"]: self._next.get(job["_id"], 0.0) for job in jobs}
        stated: dict[str, Document] = {}
        for job in jobs:
            if self._next[job["_id"]] > now or job.get("waits_for"):
                continue
            begun = time.monotonic()
            found = self.so_far(job)
            self._next[job["_id"]] = now + max(EVERY_S, PAUSE * (time.monotonic() - begun))
            if found is not None:
                stated[job["_id"]] = {"trust": found}
        self._store.jobs.note_many(stated)

    def so_far(self, job: Document) -> Document | None:
        """Of a running job: what it cost is known from its counters only. None where there is nothing to say."""
        counters = job.get("counters", {})
        accepted = sum(int(counters.get(f"accepted_{number}", 0)) for number in range(len(job["stages"])))
        running = running_job(job)
        if not accepted or asks_people(running.spec, 0):
            return None
        results = int(counters.get("returned", 0))
        return self._stated(running, accepted, results=results, ended=False)

    def final(self, job: Document) -> Document | None:
        """Of a job of which everything is accepted and closed."""
        running = running_job(job)
        if asks_people(running.spec, 0):
            return None
        cost = self._store.reviews.cost(job["_id"])
        stated = self._stated(running, _total(running), results=cost.results, ended=True)
        return {**stated, "cpu_s": round(cost.cpu_s, 3), "cpu_s_checking": round(cost.cpu_s - cost.cpu_s_first, 3)}

    def _stated(self, job: RunningJob, accepted: int, *, results: int, ended: bool) -> Document:
        findings = self._store.findings.of_job(job.id)
        evidence = self._evidence(job, accepted, findings, ended)
        found = bound.bound(evidence)
        stated = TrustView(
            basis=evidence.basis,
            share=found.share,
            low=found.low,
            high=found.high,
            confidence=bound.CONFIDENCE,
            accepted=accepted,
            single=sum(evidence.sole),
            results=results,
            copies_per_chunk=round(results / max(1, accepted - int(job.document.get("reused", 0))), 4),
            clients_wrong=len(findings),
            opened_again=sum(each["opened"] for each in findings),
            closed=evidence.closed,
        )
        plain = {key: value for key, value in msgspec.structs.asdict(stated).items() if value is not None}
        return {**plain, "method": bound.METHOD}

    def _evidence(self, job: RunningJob, accepted: int, findings: Sequence[Document], ended: bool) -> Evidence:
        basis = basis_of(job)
        if basis != "adaptive":
            return Evidence(basis=basis, accepted=accepted)
        believed = [each for each in findings if each["sole"]]
        found = sum(len(each["chunks"]) for each in believed)
        clients = [each["client"] for each in believed]
        known = self._store.reviews.count_wrong(job.id, clients) if ended and clients else found
        closings = self._store.closings.of_job(job.id) if ended else []
        drawn_wrong = {chunk for each in believed for chunk in each["chunks"]}
        return Evidence(
            basis=basis,
            accepted=accepted,
            sole=[count for count, _ in self._store.reviews.sole_by_client(job.id).values()],
            chance=max(trust.FLOOR, terms_of(job).floor),
            found=found,
            known=known,
            closed=ended and all(each["state"] == "closed" for each in closings),
            failed_closings=sum(each["chunk"] in drawn_wrong for each in closings),
        )


def basis_of(job: RunningJob) -> Basis:
    rules = rules_of(job.spec, 0)
    return "adaptive" if rules.full else "quorum" if rules.quorum > 1 else "none"


def _total(job: RunningJob) -> int:
    return sum(int(stage["total"]) for stage in job.stages)
