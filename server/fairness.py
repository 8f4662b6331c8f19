"""In which order running jobs are served: between owners by what they used lately, then by priority, then by age. Pure.

Whoever used least comes first, and is charged at once for what it is given; so two owners with work share the pool
evenly, whatever the size of their jobs, and one who comes after a long absence need not wait.
"""

from collections.abc import Iterable, Mapping, Sequence

from server.lifecycle import Chunk
from server.running import RunningJob


def in_order(jobs: Sequence[RunningJob], used: Mapping[str, float]) -> list[RunningJob]:
    """The jobs, those to be served first at first."""
    return sorted(jobs, key=lambda job: (used.get(job.owner, 0.0), -job.spec.priority, job.document["created"], job.id))


def first_served(jobs: Sequence[RunningJob]) -> list[RunningJob]:
    """The leading jobs of the same owner and priority; `jobs` are in order."""
    return [job for job in jobs if (job.owner, job.spec.priority) == (jobs[0].owner, jobs[0].spec.priority)]


def charges(chunks: Iterable[Chunk], jobs: Mapping[str, RunningJob]) -> dict[str, float]:
    """Seconds of containers that leases of these chunks are expected to take, by owner of the job."""
    seconds: dict[str, float] = {}
    for chunk in chunks:
        job = jobs[chunk.job]
        seconds[job.owner] = seconds.get(job.owner, 0.0) + job.expected_s
    return seconds
