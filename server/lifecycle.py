"""The life of a chunk: pure rules, no I/O. Events go in, the new chunk comes out; the store compares and sets it.

    state        moved on by
    open         a worker's results (accept, fail_replica), leases ending (release); settle() decides each time
    accepted     `quorum` equal results, each from another client; one of them is canonical. Moved on by doubt and
                 recheck only, where its support is one client's word
    failed       too many failed replicas, or too many results without a quorum; moved on by reopen
    cancelled    its job ended first; moved on by reopen

    replica      meaning                                         moved on by
    leased       its client may run the chunk                    accept, fail_replica, release
    committed    its digest is fixed, its payload is awaited     accept (stored), fail_replica, release
    returned     its result is stored and votes                  -
    failed       its run failed                                  forgive (its client may try again)
    gone         its lease ended without a result                accept, fail_replica: a late report still counts

Of an adaptive job a chunk begins with a quorum of 1. A result that is drawn for a check raises it to `full`
(accept, check=True), and so do doubt and recheck. Doubted results, those of a client that was found wrong, count as
one vote however many they are: each needs one of a client that is not doubted. The result of a trusted client decides
by itself. A canary is a replica of an accepted chunk whose answer is known: it is granted beside `need`, judged against
the canonical result, and does not vote; where the chunk is opened again before the canary is back, its answer is not
known any more, and the canary becomes a replica like any other.

`need` is how many more replicas may be handed out now: quorum - best votes - live leases, never below 0.

How results vote stands in voting, who may be given a chunk in granting, what opens an accepted one again in checking.
Whoever uses these rules finds all of them here.
"""

from collections import Counter
from collections.abc import Collection

from msgspec.structs import replace

from dockercomp.protocol.messages import Failure
from server.checking import (
    absolve,
    adopt,
    changed,
    confirmed,
    doubt,
    followed_up,
    let_be,
    newly_wrong,
    recheck,
    redo,
    rejudge,
    sole,
)
from server.chunk import (
    LIVE,
    NO_RUN,
    AckStatus,
    Chunk,
    ChunkState,
    Grantee,
    Replica,
    ReplicaState,
    Rules,
    Run,
    Step,
    at_work,
    barred_clients,
    chunk_id,
    chunk_of_lease,
    end_leases,
    fresh,
    lease_id,
    live_leases,
    participants,
    replica_of,
    stands_aside,
    with_replica,
)
from server.granting import (
    MOST_CANARIES,
    dependence,
    grant,
    grant_again,
    grant_canary,
    may_be_doubled,
    may_join,
    still_independent,
)
from server.voting import (
    EXTRA_RESULTS,
    MACHINE_FAILURES,
    MOST_LOST,
    NOT_THE_PROGRAM,
    differs,
    never_repeats,
    representatives,
    settle,
    support,
    unrepeated,
    vote_for,
    vote_of,
    voters,
    votes_of,
)

__all__ = [
    "EXTRA_RESULTS",
    "KEPT_GONE",
    "LIVE",
    "MACHINE_FAILURES",
    "MOST_CANARIES",
    "MOST_LOST",
    "NOT_THE_PROGRAM",
    "NO_RUN",
    "AckStatus",
    "Chunk",
    "ChunkState",
    "Grantee",
    "Replica",
    "ReplicaState",
    "Rules",
    "Run",
    "Step",
    "absolve",
    "accept",
    "adopt",
    "barred_clients",
    "blamed",
    "cancel",
    "changed",
    "chunk_id",
    "chunk_of_lease",
    "confirmed",
    "dependence",
    "differs",
    "doubt",
    "fail_replica",
    "followed_up",
    "forgive",
    "free_class",
    "fresh",
    "grant",
    "grant_again",
    "grant_canary",
    "lease_id",
    "let_be",
    "live_leases",
    "may_be_doubled",
    "may_join",
    "newly_wrong",
    "participants",
    "recheck",
    "redo",
    "rejudge",
    "release",
    "reopen",
    "representatives",
    "sole",
    "stands_aside",
    "support",
    "unrepeated",
    "vote_for",
    "vote_of",
    "voters",
    "votes_of",
]


KEPT_GONE = 4
"""Ended leases that are remembered, for results that come late."""


def accept(
    chunk: Chunk,
    lease: str,
    digest: str,
    size: int,
    *,
    stored: bool,
    vote: str = "",
    check: bool = False,
    run: Run = NO_RUN,
) -> Step:
    """A result was brought: its digest is fixed by the first report; it votes once its payload is stored, for itself
    or for the one of `representatives` that it equals (`vote`). `check`: it was drawn for a check by another client.

    Acknowledged `rejected` where it differs from the digest committed before; `late` where the chunk has ended.
    """
    found = replica_of(chunk, lease)
    if found is None:
        return Step(chunk, "unknown")
    if found.state == "returned":
        return Step(chunk, "stored" if found.digest == digest else "rejected")
    if found.state == "failed":
        return Step(chunk, "rejected")
    if stands_aside(found):
        return _take_aside(chunk, found, digest, size, stored=stored, vote=vote, run=run)
    if chunk.state != "open":
        return Step(chunk, "late")
    if found.digest and found.digest != digest:
        return Step(settle(with_replica(chunk, replace(found, state="gone"))), "rejected")
    if found.state == "gone" and (_took_part_since(chunk, found) or not still_independent(chunk, found)):
        return Step(chunk, "late")
    if not stored:
        if found.state == "committed":
            return Step(chunk, "send")
        return Step(settle(with_replica(chunk, replace(found, state="committed", digest=digest, size=size))), "send")
    vote = vote_for(chunk, digest) or (vote if vote in representatives(chunk) else digest)
    after = with_replica(chunk, _returned(found, digest, size, "" if vote == digest else vote, run))
    if check and chunk.full:
        after = replace(after, quorum=max(after.quorum, after.full))
    return Step(settle(after), "stored")


def _returned(found: Replica, digest: str, size: int, vote: str, run: Run) -> Replica:
    return replace(
        found,
        state="returned",
        digest=digest,
        size=size,
        vote=vote,
        wall_s=run.wall_s,
        cpu_s=run.cpu_s,
        log=run.log,
        cpus_limit=run.cpus_limit,
        memory_limit=run.memory_limit,
        at=run.at,
        input_digest=run.input_digest,
    )


def _take_aside(chunk: Chunk, found: Replica, digest: str, size: int, *, stored: bool, vote: str, run: Run) -> Step:
    """A canary's or a second run's result. The same answers as for any other, so that nothing tells them apart before
    the digest is fixed."""
    if chunk.state != ("accepted" if found.canary else "open") or found.state == "gone":
        return Step(chunk, "late")
    if found.digest and found.digest != digest:
        return Step(with_replica(chunk, replace(found, state="gone")), "rejected")
    if not stored:
        committed = replace(found, state="committed", digest=digest, size=size)
        return Step(chunk if found.state == "committed" else with_replica(chunk, committed), "send")
    given = vote_for(chunk, digest) or vote or digest
    judged = _returned(found, digest, size, "" if given == digest else given, run)
    return Step(with_replica(chunk, replace(judged, wrong=found.canary and given != chunk.digest)), "stored")


def fail_replica(chunk: Chunk, lease: str, failure: Failure) -> Step:
    """A run failed; counted once however often it is reported."""
    found = replica_of(chunk, lease)
    if found is None:
        return Step(chunk, "unknown")
    if found.state in ("failed", "returned"):
        return Step(chunk, "stored")
    if stands_aside(found) and found.state in LIVE:
        return Step(with_replica(chunk, replace(found, state="failed", failure=failure)), "stored")
    if chunk.state != "open" or (found.state == "gone" and _took_part_since(chunk, found)):
        return Step(chunk, "late")
    return Step(settle(with_replica(chunk, replace(found, state="failed", failure=failure))), "stored")


def release(chunk: Chunk, lease: str, *, given_back: bool = False) -> Step:
    """A lease ended without a result: dropped, over its deadline, its client fell silent, or it was given back unrun,
    which says nothing of the chunk."""
    found = replica_of(chunk, lease)
    if found is None:
        return Step(chunk, "unknown")
    if stands_aside(found) and found.state in LIVE:
        return Step(_forget_old(with_replica(chunk, replace(found, state="gone"))), "stored")
    if chunk.state != "open" or found.state not in LIVE:
        return Step(chunk, "stored")
    ended = with_replica(chunk, replace(found, state="gone"))
    return Step(settle(_forget_old(replace(ended, lost=chunk.lost + (not given_back)))), "stored")


def blamed(chunk: Chunk) -> bool:
    """Whether a client is barred from this open chunk for having failed it."""
    return chunk.state == "open" and any(r.state == "failed" and not r.forgiven for r in chunk.replicas)


def forgive(chunk: Chunk, able: Collection[str]) -> Chunk:
    """Let the clients that failed this chunk try it again, where of those `able` to run it nobody else is left. Their
    failures still count."""
    if not able or not blamed(chunk) or chunk.need < 1 or not set(barred_clients(chunk)).issuperset(able):
        return chunk
    forgiven = tuple(replace(r, forgiven=True) if r.state == "failed" else r for r in chunk.replicas)
    return replace(chunk, replicas=forgiven, version=chunk.version + 1)


def free_class(chunk: Chunk, able: Collection[tuple[str, str]]) -> Chunk:
    """Let machines of another class have an open chunk, where of those `able` to run it, as (client, class), nobody
    else of its class is left, and enough of another class to agree. The results of that class are forgotten: those of
    another need not equal them."""
    if chunk.state != "open" or chunk.need < 1 or not chunk.cpu_kind or at_work(chunk):
        return chunk
    barred = set(barred_clients(chunk))
    left = Counter(kind for client, kind in able if client not in barred)
    if left[chunk.cpu_kind] or max(left.values(), default=0) < chunk.quorum:
        return chunk
    kept = tuple(r for r in chunk.replicas if r.state == "failed")
    return settle(replace(chunk, cpu_kind="", replicas=kept, version=chunk.version + 1))


def reopen(chunk: Chunk) -> Chunk:
    """Its job runs again: a chunk without a result is tried anew. Failures are forgotten, but for their number; results
    are kept and vote, except where there were so many that no two seem to be equal."""
    if chunk.state not in ("failed", "cancelled"):
        return chunk
    returned = tuple(r for r in chunk.replicas if r.state == "returned" and not stands_aside(r))
    kept = () if never_repeats(chunk, len(returned)) else returned
    earlier = chunk.earlier_failures + sum(1 for r in chunk.replicas if r.state == "failed")
    again = replace(chunk, state="open", replicas=kept, lost=0, error="", earlier_failures=earlier)
    return settle(replace(again, version=chunk.version + 1))


def cancel(chunk: Chunk) -> Chunk:
    """Its job has ended."""
    if chunk.state != "open":
        return chunk
    return replace(end_leases(chunk), state="cancelled", need=0, version=chunk.version + 1)


def _forget_old(chunk: Chunk) -> Chunk:
    """Keep the newest ended leases only: a document must not grow with every restart of a worker."""
    gone = [r.lease for r in chunk.replicas if r.state == "gone"]
    old = set(gone[: max(0, len(gone) - KEPT_GONE)])
    return replace(chunk, replicas=tuple(r for r in chunk.replicas if r.lease not in old)) if old else chunk


def _took_part_since(chunk: Chunk, gone: Replica) -> bool:
    """Whether the client of an ended lease has another replica that counts: one client never votes twice."""
    return any(r.client == gone.client and r.lease != gone.lease and r.state != "gone" for r in chunk.replicas)
