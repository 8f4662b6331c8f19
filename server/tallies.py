"""What is counted when chunks move on: pure, no I/O. Counters are for the eye and for estimates; nothing is decided by
them that could be wrong if one were.

Of a job: `returned`, `failed`, `wrong`, `accepted_0` …; `runs`, `run_s`, `run_s2`, the number, seconds and squared
seconds of its results' runs, and `turn_s`, the seconds from their leases to their results. Of a client: `valid`,
`wrong`, `failed`, and by job `runs`, `seconds`, and `faults`, the chunks that it failed and others completed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.lifecycle import Chunk, Replica

Counts = defaultdict[str, float]
"""Whole numbers stay whole."""


@dataclass
class Tally:
    jobs: dict[str, Counts] = field(default_factory=dict)
    """What to add to the counters of jobs, by id."""
    clients: dict[str, Counts] = field(default_factory=dict)
    """What to add to the counters of clients, by id."""
    noted: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of clients to be set."""

    def job(self, chunk: Chunk) -> Counts:
        return self.jobs.setdefault(chunk.job, defaultdict(int))

    def client(self, replica: Replica) -> Counts:
        return self.clients.setdefault(replica.client, defaultdict(int))

    def note(self, replica: Replica, key: str, value: Any) -> None:
        self.noted.setdefault(replica.client, {})[key] = value


Age = Callable[[Chunk, Replica], float]


def tally_of(changes: Sequence[tuple[Chunk, Chunk]], age: Age) -> Tally:
    """What stored changes (before, after) come to. `age` says how many seconds ago a replica was leased."""
    tally = Tally()
    for before, after in changes:
        tally.job(after)
        _count_replicas(before, after, tally, age)
        if after.state == "accepted" and before.state == "open":
            tally.job(after)[f"accepted_{after.stage}"] += 1
            _judge(after, tally)
            _find_faults(after, tally)
    return tally


def _count_replicas(before: Chunk, after: Chunk, tally: Tally, age: Age) -> None:
    earlier = {replica.lease: replica.state for replica in before.replicas}
    for replica in after.replicas:
        if earlier.get(replica.lease) == replica.state:
            continue
        if replica.state == "returned":
            _count_run(after, replica, tally, age(after, replica))
        elif replica.state == "failed":
            tally.job(after)["failed"] += 1
            tally.client(replica)["failed"] += 1


def _count_run(chunk: Chunk, replica: Replica, tally: Tally, turn_s: float) -> None:
    job, client, seconds = tally.job(chunk), tally.client(replica), replica.wall_s
    job["returned"] += 1
    for key, value in (("runs", 1), ("run_s", seconds), ("run_s2", seconds * seconds), ("turn_s", turn_s)):
        job[key] += value
    client[f"jobs.{chunk.job}.runs"] += 1
    client[f"jobs.{chunk.job}.seconds"] += seconds


def _judge(chunk: Chunk, tally: Tally) -> None:
    """Only a formed quorum judges: those it outvoted are marked."""
    for replica in chunk.replicas:
        if replica.state != "returned" or chunk.quorum < 2:
            continue
        tally.client(replica)["wrong" if replica.wrong else "valid"] += 1
        if replica.wrong:
            tally.job(chunk)["wrong"] += 1
            reason = f"its result of chunk {chunk.index} of job {chunk.job} was outvoted by a quorum"
            tally.note(replica, "marked", reason)


def _find_faults(chunk: Chunk, tally: Tally) -> None:
    """Clients that failed a chunk which others completed; with the session of their daemon, so that a mended and
    restarted one begins anew."""
    completed = {replica.client for replica in chunk.replicas if replica.state == "returned"}
    for replica in chunk.replicas:
        if replica.state == "failed" and replica.client not in completed:
            tally.client(replica)[f"jobs.{chunk.job}.faults"] += 1
            tally.note(replica, f"counters.jobs.{chunk.job}.session", session_of(replica))


def session_of(replica: Replica) -> str:
    """The session of the daemon that a replica was granted to."""
    return replica.sync.split("/")[1] if replica.sync.count("/") == 2 else ""
