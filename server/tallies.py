"""What is counted when chunks move on: pure, no I/O. Counters are for the eye, for estimates and for how often a client
is checked; no result is accepted or refused by them.

Of a job: `returned`, `failed`, `wrong`, `accepted_0` …, `kept_bytes` of accepted results; `confirmed`, the chunks that
a quorum accepted, and `canaries`; `runs`, `run_s`, `run_s2`, the number, seconds and squared seconds of its results'
runs, and `turn_s`, the seconds from their leases to their results. Of a client: `valid`, `failed`, and what its
reputation is made of (trust.Record), in all and by job: `agreed` (since it was wrong last), `wrong`, `late`, and
`faults`, the chunks that it failed and others completed; by job also `runs` and `seconds`.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from server import lifecycle
from server.lifecycle import Chunk, Replica

Counts = defaultdict[str, float]
"""Whole numbers stay whole."""

Change = tuple[Chunk, Chunk]
"""A chunk before and after."""


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

    def reputation(self, chunk: Chunk, replica: Replica, event: str) -> None:
        """Count what bears on a client's reputation, in all and in the job. What is wrong takes all agreements."""
        for key in ("", f"jobs.{chunk.job}."):
            if event == "wrong":
                self.client(replica).pop(f"{key}agreed", None)
                self.note(replica, f"counters.{key}agreed", 0)
            if event == "agreed" and (begun := f"counters.{key}agreed") in self.noted.get(replica.client, {}):
                self.noted[replica.client][begun] += 1
            else:
                self.client(replica)[f"{key}{event}"] += 1


Age = Callable[[Chunk, Replica], float]


def tally_of(changes: Sequence[Change], age: Age, *, now: float = 0.0, excused: Collection[str] = ()) -> Tally:
    """What stored changes come to. `age` says how many seconds ago a replica was leased; `now` is the database's time;
    `excused` are the leases that a client may end without a result."""
    tally = Tally()
    for before, after in changes:
        tally.job(after)
        _count_replicas(before, after, tally, age, excused)
        _find_wrong(before, after, tally, now)
        if after.state == "accepted" and before.state == "open":
            tally.job(after)[f"accepted_{after.stage}"] += 1
            tally.job(after)["kept_bytes"] += after.size or 0
            _find_right(before, after, tally)
            _find_faults(after, tally)
        elif before.state == "accepted" and after.state == "open":
            tally.job(after)[f"accepted_{after.stage}"] -= 1
            tally.job(after)["kept_bytes"] -= before.size or 0
            tally.job(after)["confirmed"] -= before.quorum > 1
    return tally


def _count_replicas(before: Chunk, after: Chunk, tally: Tally, age: Age, excused: Collection[str]) -> None:
    earlier = {replica.lease: replica.state for replica in before.replicas}
    for replica in after.replicas:
        if earlier.get(replica.lease) == replica.state:
            continue
        if replica.state == "returned":
            _count_run(after, replica, tally, age(after, replica))
        elif replica.state == "failed":
            tally.job(after)["failed"] += 1
            tally.client(replica)["failed"] += 1
        elif replica.state == "gone" and _ended_by_its_client(after, replica) and replica.lease not in excused:
            tally.reputation(after, replica, "late")


def _ended_by_its_client(chunk: Chunk, gone: Replica) -> bool:
    """A lease also ends when its chunk does."""
    return chunk.state == "open" or gone.canary


def _count_run(chunk: Chunk, replica: Replica, tally: Tally, turn_s: float) -> None:
    job, client, seconds = tally.job(chunk), tally.client(replica), replica.wall_s
    job["returned"] += 1
    for key, value in (("runs", 1), ("run_s", seconds), ("run_s2", seconds * seconds), ("turn_s", turn_s)):
        job[key] += value
    client[f"jobs.{chunk.job}.runs"] += 1
    client[f"jobs.{chunk.job}.seconds"] += seconds
    if replica.canary:
        job["canaries"] += 1
        if not replica.wrong:
            client["valid"] += 1
            tally.reputation(chunk, replica, "agreed")


def _find_wrong(before: Chunk, after: Chunk, tally: Tally, now: float) -> None:
    """Only a formed quorum, or a known answer, judges: whoever differs is marked, once for each replica."""
    known = {replica.lease for replica in before.replicas if replica.wrong}
    for replica in after.replicas:
        if replica.wrong and replica.lease not in known:
            reason = why_wrong(after, replica)
            tally.reputation(after, replica, "wrong")
            tally.job(after)["wrong"] += 1
            tally.note(replica, "marked", reason)
            tally.note(replica, f"findings.{after.job}", {"reason": reason, "at": now})


def why_wrong(chunk: Chunk, replica: Replica) -> str:
    """Why a client is marked, in a sentence without a stop."""
    how = "is not the known one" if replica.canary else "was outvoted by a quorum"
    return f"its result of chunk {chunk.index} of job {chunk.job} {how}"


def _find_right(before: Chunk, after: Chunk, tally: Tally) -> None:
    """Whoever agrees with a formed quorum: not again where that was so before, nor where it is doubted."""
    if after.quorum < 2:
        return
    tally.job(after)["confirmed"] += 1
    for replica in after.replicas:
        if replica.state == "returned" and not (replica.wrong or replica.doubted or lifecycle.stands_aside(replica)):
            tally.client(replica)["valid"] += 1
            tally.reputation(after, replica, "agreed")


def _find_faults(chunk: Chunk, tally: Tally) -> None:
    """Clients that failed a chunk which others completed; with the session of their daemon, so that a mended and
    restarted one begins anew."""
    completed = {replica.client for replica in chunk.replicas if replica.state == "returned"}
    for replica in chunk.replicas:
        if replica.state == "failed" and replica.client not in completed:
            tally.reputation(chunk, replica, "faults")
            tally.note(replica, f"counters.jobs.{chunk.job}.session", session_of(replica))


def session_of(replica: Replica) -> str:
    """The session of the daemon that a replica was granted to."""
    return replica.sync.split("/")[1] if replica.sync.count("/") == 2 else ""
