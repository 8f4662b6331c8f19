"""Chance in the masters' hands: which results are checked, and when a canary is due. Pure, no I/O.

Drawn from the masters' secret and the lease, after the result came back: any master, asked as often as may be, draws
the same, and no client can know or choose what will be drawn.
"""

from collections.abc import Mapping, Sequence

from dockercomp.protocol.messages import ResultReport
from server import bound, lifecycle, trust
from server.lifecycle import Chunk
from server.reputations import reputation_of
from server.running import RunningJob, is_adaptive, on_trial
from server.store.connection import Document
from server.trust import Terms


class Draw:
    """The draws of one client's sync."""

    def __init__(self, secret: bytes, client: Document, jobs: Mapping[str, RunningJob]) -> None:
        self._secret, self._client, self._jobs = secret, client, jobs
        self._chances: dict[tuple[str, bool], tuple[float, float]] = {}

    def believed(self, reports: Sequence[ResultReport]) -> list[ResultReport]:
        """The reports; those of jobs in which the client was found wrong as if it had given its leases back: a lease
        that has ended can still bring a result, and two such would agree as if nothing were known of them."""
        found = {job for job in (self._client.get("findings") or {}) if reputation_of(self._client, job).found}
        return [given_back(report) if _job_of(report) in found else report for report in reports]

    def check(self, chunk: Chunk, lease: str) -> bool:
        """Whether the single result of a lease is to be checked by another client."""
        if not chunk.full:
            return False
        if chunk.job not in self._jobs:
            return True
        return trust.drawn(self._secret, lease, self._chances_of(chunk.job, chunk.stage)[0])

    def canaries(self, reports: Sequence[ResultReport]) -> list[tuple[str, int]]:
        """(job, stage) of each canary that is due for these results; almost always none."""
        leases = [report.lease for report in reports if report.outcome == "done"]
        places = [(lease, lifecycle.chunk_of_lease(lease).split(".")) for lease in leases]
        return [
            (place[0], int(place[1])) for lease, place in places if len(place) > 1 and self._is_due(lease, *place[:2])
        ]

    def _is_due(self, lease: str, job: str, stage: str) -> bool:
        running = self._jobs.get(job)
        if running is None or not stage.isdecimal() or not is_adaptive(running.spec, int(stage)):
            return False
        return trust.drawn(self._secret, f"canary after {lease}", self._chances_of(job, int(stage))[1])

    def _chances_of(self, job: str, stage: int) -> tuple[float, float]:
        """Of a check and of a canary."""
        key = job, stage > 0
        if key not in self._chances:
            reputation, terms = reputation_of(self._client, job), terms_of(self._jobs[job], stage)
            self._chances[key] = trust.chance(reputation, terms), trust.canary_chance(reputation, terms)
        return self._chances[key]


def given_back(report: ResultReport) -> ResultReport:
    return ResultReport(lease=report.lease, outcome="returned")


def _job_of(report: ResultReport) -> str:
    return lifecycle.chunk_of_lease(report.lease).split(".")[0]


def terms_of(job: RunningJob, stage: int = 0) -> Terms:
    """What an adaptive job asks of checks of a stage's results now."""
    verify, chunks = job.spec.verify, sum(stage["total"] for stage in job.stages)
    return Terms(
        floor=max(verify.floor, bound.chance_for(verify.target_error, chunks)),
        trial=on_trial(job),
        whole=stage > 0,
    )
