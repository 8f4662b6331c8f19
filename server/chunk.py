"""A chunk and its replicas: what is stored of them, and what can be asked of them as they are. Pure, no I/O.

What moves them on stands in lifecycle."""

from typing import Literal

import msgspec
from msgspec.structs import replace

from dockercomp.protocol.messages import Failure
from dockercomp.protocol.orders import Independence

ReplicaState = Literal["leased", "committed", "returned", "failed", "gone"]
ChunkState = Literal["open", "accepted", "failed", "cancelled"]
AckStatus = Literal["stored", "send", "late", "unknown", "rejected"]
LIVE = frozenset({"leased", "committed"})


class Rules(msgspec.Struct, frozen=True):
    """What a job says about its chunks. `quorum` agreeing results; `retries` failed runs before giving up."""

    quorum: int
    retries: int
    full: int = 0
    """Adaptive: `quorum` is 1, and this the quorum of a chunk that is checked. 0: not adaptive."""


class Replica(msgspec.Struct, frozen=True, omit_defaults=True):
    lease: str
    client: str
    owner: str
    state: ReplicaState
    deadline: float
    """Database time, seconds since 1970, at which the lease ends whatever its client does."""
    sync: str = ""
    """The sync that granted it."""
    digest: str = ""
    size: int = 0
    vote: str = ""
    """Digest of the result that it votes for, where that is another's, equal under the job's comparator."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    log: str = ""
    """What the program said beside its result, as far as it is kept."""
    wrong: bool = False
    """Outvoted by a quorum, or a canary that differs from the known answer."""
    canary: bool = False
    again: bool = False
    """A second run by a client whose first result differs from another's: it shows whether the program repeats its
    results, and does not vote."""
    doubted: bool = False
    """Its client was found wrong in this job: the result does not count by itself."""
    block: str = ""
    """Address block that the client called from when the lease was granted."""
    token: str = ""
    """Enrolment token that let the client in, by its id."""
    trusted: bool = False
    """That token is trusted: the result decides."""
    cpus_limit: float = 0.0
    memory_limit: int = 0
    """Limits in force as the worker read them back (CPUs, bytes); 0 where it could not."""
    at: float = 0.0
    """Database time, seconds since 1970, at which the result was taken in."""
    input_digest: str = ""
    """SHA-256 of the input as the program got it; empty where an earlier replica of the chunk says the same."""
    forgiven: bool = False
    independent: Independence = "client"
    """What its job asked of replicas of one chunk when it was leased."""
    failure: Failure | None = None


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    job: str
    stage: int
    index: int
    quorum: int
    retries: int
    version: int = 0
    state: ChunkState = "open"
    need: int = 0
    lost: int = 0
    """Leases that ended without a result."""
    replicas: tuple[Replica, ...] = ()
    digest: str | None = None
    """Digest of the canonical result, once accepted."""
    size: int | None = None
    error: str = ""
    earlier_failures: int = 0
    """Failed runs from before it was opened again."""
    reused: str = ""
    """The chunk of an earlier job whose result was taken over."""
    full: int = 0
    """Adaptive: the quorum once it is checked; 0: not adaptive, `quorum` is fixed."""
    cpu_kind: str = ""
    """The class of machines that may run it, where its job compares within classes: that of its first replica."""
    was: str = ""
    """Digest of the result that it had when it was opened again: later stages may have read it."""
    was_size: int = 0
    stale: bool = False
    """Later stages may have read yet another result than `was`."""
    redone: int = 0
    """How often it was run anew because what it reads had changed."""


class Run(msgspec.Struct, frozen=True):
    """What is kept of a run beside its result; times in seconds."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    log: str = ""
    cpus_limit: float = 0.0
    memory_limit: int = 0
    at: float = 0.0
    input_digest: str = ""


NO_RUN = Run()


class Step(msgspec.Struct, frozen=True):
    """What an event did: the chunk after it (the same object where nothing changed) and the answer to its sender."""

    chunk: Chunk
    ack: AckStatus


class Grantee(msgspec.Struct, frozen=True):
    """Whom a lease is granted to: the client, and what its independence from others is judged by."""

    client: str
    owner: str
    block: str = ""
    token: str = ""
    cpu_kind: str = ""
    """Its class of machines, where the job compares within classes; else empty."""
    trusted: bool = False
    independent: Independence = "client"
    """What the job asks of replicas of one chunk."""


def chunk_id(job: str, stage: int, index: int) -> str:
    """Ids sort in chunk order."""
    return f"{job}.{stage}.{index:012d}"


def lease_id(client: str, chunk: str, nonce: str) -> str:
    return f"{client}.{chunk}.{nonce}"


def chunk_of_lease(lease: str) -> str:
    """The chunk's id in a lease's id; empty where it is not one of ours."""
    parts = lease.split(".")
    return ".".join(parts[1:4]) if len(parts) == 5 else ""


def fresh(job: str, stage: int, index: int, rules: Rules) -> Chunk:
    """A chunk that nobody holds yet."""
    return Chunk(
        id=chunk_id(job, stage, index),
        job=job,
        stage=stage,
        index=index,
        quorum=rules.quorum,
        retries=rules.retries,
        need=rules.quorum,
        full=rules.full,
    )


def live_leases(chunk: Chunk) -> list[str]:
    """The leases that run now: all of an open chunk, of an accepted one its canaries, of another none."""
    if chunk.state not in ("open", "accepted"):
        return []
    return [r.lease for r in chunk.replicas if r.state in LIVE and (chunk.state == "open" or r.canary)]


def barred_clients(chunk: Chunk) -> list[str]:
    """Clients that may not get another replica of this chunk: they hold one, voted, or failed it."""
    return [r.client for r in chunk.replicas if r.state != "gone" and not (r.state == "failed" and r.forgiven)]


def participants(chunk: Chunk) -> list[Replica]:
    """The replicas that a further one must be independent of: those that run or voted."""
    return [r for r in chunk.replicas if r.state in LIVE or r.state == "returned"]


def at_work(chunk: Chunk) -> int:
    return sum(1 for r in chunk.replicas if r.state in LIVE and not stands_aside(r))


def stands_aside(replica: Replica) -> bool:
    """Whether it is beside what the chunk needs, and does not vote."""
    return replica.canary or replica.again


def replica_of(chunk: Chunk, lease: str) -> Replica | None:
    return next((replica for replica in chunk.replicas if replica.lease == lease), None)


def with_replica(chunk: Chunk, changed: Replica) -> Chunk:
    replicas = tuple(changed if replica.lease == changed.lease else replica for replica in chunk.replicas)
    return replace(chunk, replicas=replicas, version=chunk.version + 1)


def end_leases(chunk: Chunk) -> Chunk:
    ended = tuple(replace(r, state="gone") if r.state in LIVE else r for r in chunk.replicas)
    return replace(chunk, replicas=ended)
