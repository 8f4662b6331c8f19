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

Results vote in groups. Under a comparator with tolerances a result votes for the first one that it equals, its group's
representative, whose digest is the canonical one if the group wins. Every result is compared with representatives only:
closeness is not transitive, and a chain of small differences must not join two results that are far apart.
"""

from collections import Counter
from collections.abc import Collection
from typing import Literal

import msgspec
from msgspec.structs import replace

from dockercomp.protocol.messages import Failure
from dockercomp.protocol.orders import Independence

ReplicaState = Literal["leased", "committed", "returned", "failed", "gone"]
ChunkState = Literal["open", "accepted", "failed", "cancelled"]
AckStatus = Literal["stored", "send", "late", "unknown", "rejected"]

LIVE = frozenset({"leased", "committed"})
NOT_THE_PROGRAM = frozenset({"input", "image", "engine", "refused"})
"""Failure reasons that say nothing about the job: they weigh against a chunk only when there are very many."""

MACHINE_FAILURES = 20
MOST_LOST = 100
"""A chunk whose lease ended this often without a word is given up: it probably takes its worker down with it."""
KEPT_GONE = 4
"""Ended leases that are remembered, for results that come late."""
EXTRA_RESULTS = 6
"""A chunk with quorum + EXTRA_RESULTS results and no quorum is given up: its results do not repeat."""
MOST_CANARIES = 3
"""Canaries of one chunk: its document must not grow with the length of a job."""


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
    """The leases that run now, those of canaries too: an ended chunk has no others."""
    return [replica.lease for replica in chunk.replicas if replica.state in LIVE]


def barred_clients(chunk: Chunk) -> list[str]:
    """Clients that may not get another replica of this chunk: they hold one, voted, or failed it."""
    return [r.client for r in chunk.replicas if r.state != "gone" and not (r.state == "failed" and r.forgiven)]


def may_be_doubled(chunk: Chunk) -> bool:
    """Whether one client more than needed may run the chunk: all that are needed run it, and no other does."""
    votes = _votes(chunk)
    live = _at_work(chunk)
    return chunk.state == "open" and 0 < live == chunk.quorum - max(votes.values(), default=0)


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


def grant(
    chunk: Chunk, to: Grantee, *, nonce: str, deadline: float, sync: str = "", spare: bool = False
) -> Chunk | None:
    """Lease the chunk; None where the client may not have it: no replica needed, it took part already, its machine is
    of another class, or it is not independent of those that took part. `spare`: one replica more than needed, for
    whoever is faster."""
    wanted = chunk.need > 0 or (spare and may_be_doubled(chunk))
    if (
        chunk.state != "open"
        or not wanted
        or to.client in barred_clients(chunk)
        or chunk.cpu_kind not in ("", to.cpu_kind)
        or not _independent(chunk, to)
    ):
        return None
    replica = _lease(chunk, to, nonce, deadline, sync)
    return replace(
        chunk,
        need=max(0, chunk.need - 1),
        replicas=(*chunk.replicas, replica),
        cpu_kind=chunk.cpu_kind or to.cpu_kind,
        version=chunk.version + 1,
    )


def grant_canary(chunk: Chunk, to: Grantee, *, nonce: str, deadline: float, sync: str = "") -> Chunk | None:
    """Lease an accepted chunk once more, to see whether the client gives the known answer; None where it or its owner
    took part, or where its answer rests on one client's word."""
    took_part = any(r.client == to.client or r.owner == to.owner for r in chunk.replicas)
    enough = sum(r.canary for r in chunk.replicas) >= MOST_CANARIES
    if not confirmed(chunk) or took_part or enough or chunk.cpu_kind not in ("", to.cpu_kind):
        return None
    replica = replace(_lease(chunk, to, nonce, deadline, sync), canary=True)
    return replace(chunk, replicas=(*chunk.replicas, replica), version=chunk.version + 1)


def _lease(chunk: Chunk, to: Grantee, nonce: str, deadline: float, sync: str) -> Replica:
    return Replica(
        lease=lease_id(to.client, chunk.id, nonce),
        client=to.client,
        owner=to.owner,
        state="leased",
        deadline=deadline,
        sync=sync,
        block=to.block,
        token=to.token,
        trusted=to.trusted,
    )


def participants(chunk: Chunk) -> list[Replica]:
    """The replicas that a further one must be independent of: those that run or voted."""
    return [r for r in chunk.replicas if r.state in LIVE or r.state == "returned"]


def dependence(chunk: Chunk, to: Grantee) -> int:
    """What a client shares with those that took part, 0 to 3: owner, address block, enrolment token."""
    others = participants(chunk)
    shared = ((r.owner == to.owner, _same(r.block, to.block), _same(r.token, to.token)) for r in others)
    return sum(map(any, zip(*shared, strict=True)))


def _independent(chunk: Chunk, to: Grantee) -> bool:
    others = participants(chunk)
    if to.independent == "client":
        return True
    if any(r.owner == to.owner for r in others):
        return False
    return to.independent == "owner" or all(r.block != to.block for r in others)


def _same(one: str, other: str) -> bool:
    return bool(one) and one == other


def confirmed(chunk: Chunk) -> bool:
    """Whether an accepted result of an adaptive job is that of a quorum."""
    return chunk.state == "accepted" and chunk.full > 0 and not chunk.reused and not sole(chunk)


def sole(chunk: Chunk) -> str:
    """The client on whose single word an accepted result of an adaptive job rests; empty where others confirmed it, or
    the client is trusted."""
    if chunk.state != "accepted" or not chunk.full or chunk.reused:
        return ""
    support = [r for r in _voting(chunk) if _vote_of(r) == chunk.digest]
    return support[0].client if len(support) == 1 and not support[0].trusted else ""


def doubt(chunk: Chunk, client: str) -> Chunk:
    """A client was found wrong in this job: what rests on its word alone is open again until another confirms it."""
    if not any(r.client == client and r.state == "returned" and not r.doubted for r in chunk.replicas):
        return chunk
    replicas = tuple(
        replace(r, doubted=True) if r.client == client and r.state == "returned" else r for r in chunk.replicas
    )
    doubted = replace(chunk, replicas=replicas, version=chunk.version + 1)
    if chunk.state == "accepted" and _decides(doubted, chunk.digest or "", max(chunk.quorum, chunk.full)):
        return doubted
    return _open_for_check(doubted)


def recheck(chunk: Chunk) -> Chunk:
    """Open a result that rests on one client's word for one more opinion."""
    return _open_for_check(replace(chunk, version=chunk.version + 1)) if sole(chunk) else chunk


def support(chunk: Chunk) -> list[Replica]:
    """The results that an accepted chunk's canonical one rests on."""
    return [r for r in _voting(chunk) if _vote_of(r) == chunk.digest] if chunk.state == "accepted" else []


def newly_wrong(chunk: Chunk) -> list[str]:
    """Clients with a wrong result here whose other results of the job have not been doubted for it yet."""
    return list(dict.fromkeys(r.client for r in chunk.replicas if r.wrong and not r.doubted))


def followed_up(chunk: Chunk) -> Chunk:
    """What follows from its wrong results is noted elsewhere."""
    if not newly_wrong(chunk):
        return chunk
    replicas = tuple(replace(r, doubted=True) if r.wrong else r for r in chunk.replicas)
    return replace(chunk, replicas=replicas, version=chunk.version + 1)


def let_be(chunk: Chunk) -> Chunk:
    """Nobody else can check a result that was opened for one more opinion: it is accepted on its client's word."""
    voting = _voting(chunk)
    if chunk.state != "open" or not chunk.full or len(voting) != 1 or voting[0].doubted:
        return chunk
    return _settle(replace(chunk, quorum=1, version=chunk.version + 1))


def rejudge(chunk: Chunk) -> Chunk:
    """Somebody was outvoted here, and of those who outvoted it some were found wrong since: where fewer than two
    others are left, it is open again for one opinion more than before."""
    firm = [r for r in support(chunk) if not r.doubted]
    decided = len(firm) >= 2 or any(r.trusted for r in firm)
    if chunk.state != "accepted" or decided or not any(r.wrong for r in chunk.replicas):
        return chunk
    return _open_for_check(replace(chunk, quorum=chunk.quorum + 1, version=chunk.version + 1))


def absolve(chunk: Chunk, client: str) -> Chunk:
    """The client was not wrong after all: its results count like any others again."""
    if not any(r.client == client and r.doubted for r in chunk.replicas):
        return chunk
    replicas = tuple(replace(r, doubted=False) if r.client == client else r for r in chunk.replicas)
    after = replace(chunk, replicas=replicas, version=chunk.version + 1)
    return _settle(after) if chunk.state == "open" else after


def changed(chunk: Chunk) -> bool:
    """Whether later stages may have read another result of it than its present one."""
    return chunk.state == "accepted" and (chunk.stale or chunk.was not in ("", chunk.digest))


def adopt(chunk: Chunk) -> Chunk:
    """Whatever read an earlier result of it will be run anew: its present one is the one that counts."""
    return replace(chunk, was="", was_size=0, stale=False, version=chunk.version + 1) if changed(chunk) else chunk


def redo(chunk: Chunk) -> Chunk:
    """What it reads has changed: it is run anew, whatever its state; nothing of before votes."""
    failures = sum(1 for r in chunk.replicas if r.state == "failed")
    return _settle(
        replace(
            _remembered(chunk),
            state="open",
            digest=None,
            size=None,
            replicas=(),
            lost=0,
            error="",
            reused="",
            cpu_kind="",
            earlier_failures=chunk.earlier_failures + failures,
            redone=chunk.redone + 1,
            version=chunk.version + 1,
        )
    )


def _remembered(chunk: Chunk) -> Chunk:
    """With the result that later stages may have read, before it is opened again."""
    if chunk.state != "accepted":
        return chunk
    return replace(chunk, was=chunk.digest or "", was_size=chunk.size or 0, stale=changed(chunk))


def _open_for_check(chunk: Chunk) -> Chunk:
    if chunk.state not in ("accepted", "open"):
        return chunk
    # The answer is not known any more: canaries under way are replicas like any other.
    replicas = tuple(replace(r, canary=False) if r.state in LIVE else r for r in chunk.replicas)
    quorum = max(chunk.quorum, chunk.full)
    return _settle(replace(_remembered(chunk), state="open", quorum=quorum, digest=None, size=None, replicas=replicas))


def representatives(chunk: Chunk) -> list[str]:
    """The digests that are voted for, the first returned first. Each of them is that of a stored result."""
    return list(dict.fromkeys(_vote_of(r) for r in _voting(chunk)))


def vote_for(chunk: Chunk, digest: str) -> str | None:
    """What a result with this digest votes for, where an equal one has voted already: the same bytes, the same vote."""
    return next((_vote_of(r) for r in _voting(chunk) if r.digest == digest), None)


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
    found = _find(chunk, lease)
    if found is None:
        return Step(chunk, "unknown")
    if found.state == "returned":
        return Step(chunk, "stored" if found.digest == digest else "rejected")
    if found.state == "failed":
        return Step(chunk, "rejected")
    if found.canary:
        return _judge_canary(chunk, found, digest, size, stored=stored, vote=vote, run=run)
    if chunk.state != "open":
        return Step(chunk, "late")
    if found.digest and found.digest != digest:
        return Step(_settle(_with(chunk, replace(found, state="gone"))), "rejected")
    if found.state == "gone" and _took_part_since(chunk, found):
        return Step(chunk, "late")
    if not stored:
        if found.state == "committed":
            return Step(chunk, "send")
        return Step(_settle(_with(chunk, replace(found, state="committed", digest=digest, size=size))), "send")
    vote = vote_for(chunk, digest) or (vote if vote in representatives(chunk) else digest)
    after = _with(chunk, _returned(found, digest, size, "" if vote == digest else vote, run))
    if check and chunk.full:
        after = replace(after, quorum=max(after.quorum, after.full))
    return Step(_settle(after), "stored")


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


def _judge_canary(chunk: Chunk, found: Replica, digest: str, size: int, *, stored: bool, vote: str, run: Run) -> Step:
    """The same answers as for any other result, so that nothing tells a canary apart before its digest is fixed."""
    if chunk.state != "accepted" or found.state == "gone":
        return Step(chunk, "late")
    if found.digest and found.digest != digest:
        return Step(_with(chunk, replace(found, state="gone")), "rejected")
    if not stored:
        committed = replace(found, state="committed", digest=digest, size=size)
        return Step(chunk if found.state == "committed" else _with(chunk, committed), "send")
    given = vote_for(chunk, digest) or vote or digest
    judged = _returned(found, digest, size, "" if given == digest else given, run)
    return Step(_with(chunk, replace(judged, wrong=given != chunk.digest)), "stored")


def fail_replica(chunk: Chunk, lease: str, failure: Failure) -> Step:
    """A run failed; counted once however often it is reported."""
    found = _find(chunk, lease)
    if found is None:
        return Step(chunk, "unknown")
    if found.state in ("failed", "returned"):
        return Step(chunk, "stored")
    if found.canary and found.state in LIVE:
        return Step(_with(chunk, replace(found, state="failed", failure=failure)), "stored")
    if chunk.state != "open" or (found.state == "gone" and _took_part_since(chunk, found)):
        return Step(chunk, "late")
    return Step(_settle(_with(chunk, replace(found, state="failed", failure=failure))), "stored")


def release(chunk: Chunk, lease: str) -> Step:
    """A lease ended without a result: given back, dropped, over its deadline, or its client fell silent."""
    found = _find(chunk, lease)
    if found is None:
        return Step(chunk, "unknown")
    if found.canary and found.state in LIVE:
        return Step(_forget_old(_with(chunk, replace(found, state="gone"))), "stored")
    if chunk.state != "open" or found.state not in LIVE:
        return Step(chunk, "stored")
    return Step(_settle(_forget_old(_lose(chunk, found))), "stored")


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
    else of its class is left. The results of that class are forgotten: those of another need not equal them."""
    if chunk.state != "open" or chunk.need < 1 or not chunk.cpu_kind or _at_work(chunk):
        return chunk
    barred = set(barred_clients(chunk))
    if not able or any(kind == chunk.cpu_kind and client not in barred for client, kind in able):
        return chunk
    kept = tuple(r for r in chunk.replicas if r.state == "failed")
    return _settle(replace(chunk, cpu_kind="", replicas=kept, version=chunk.version + 1))


def reopen(chunk: Chunk) -> Chunk:
    """Its job runs again: a chunk without a result is tried anew. Failures are forgotten, but for their number; results
    are kept and vote, except where there were so many that no two seem to be equal."""
    if chunk.state not in ("failed", "cancelled"):
        return chunk
    returned = tuple(r for r in chunk.replicas if r.state == "returned" and not r.canary)
    kept = () if _never_repeats(chunk, len(returned)) else returned
    earlier = chunk.earlier_failures + sum(1 for r in chunk.replicas if r.state == "failed")
    again = replace(chunk, state="open", replicas=kept, lost=0, error="", earlier_failures=earlier)
    return _settle(replace(again, version=chunk.version + 1))


def cancel(chunk: Chunk) -> Chunk:
    """Its job has ended."""
    if chunk.state != "open":
        return chunk
    return replace(_end_leases(chunk), state="cancelled", need=0, version=chunk.version + 1)


def _vote_of(replica: Replica) -> str:
    return replica.vote or replica.digest


def _voting(chunk: Chunk) -> list[Replica]:
    return [r for r in chunk.replicas if r.state == "returned" and not r.canary]


def _at_work(chunk: Chunk) -> int:
    return sum(1 for r in chunk.replicas if r.state in LIVE and not r.canary)


def _votes(chunk: Chunk) -> Counter[str]:
    """Votes by digest; those of doubted clients for the same one count once."""
    votes = Counter(_vote_of(r) for r in _voting(chunk) if not r.doubted)
    votes.update({_vote_of(r) for r in _voting(chunk) if r.doubted})
    return votes


def _find(chunk: Chunk, lease: str) -> Replica | None:
    return next((replica for replica in chunk.replicas if replica.lease == lease), None)


def _with(chunk: Chunk, changed: Replica) -> Chunk:
    replicas = tuple(changed if replica.lease == changed.lease else replica for replica in chunk.replicas)
    return replace(chunk, replicas=replicas, version=chunk.version + 1)


def _lose(chunk: Chunk, lease: Replica) -> Chunk:
    return replace(_with(chunk, replace(lease, state="gone")), lost=chunk.lost + 1)


def _forget_old(chunk: Chunk) -> Chunk:
    """Keep the newest ended leases only: a document must not grow with every restart of a worker."""
    gone = [r.lease for r in chunk.replicas if r.state == "gone"]
    old = set(gone[: max(0, len(gone) - KEPT_GONE)])
    return replace(chunk, replicas=tuple(r for r in chunk.replicas if r.lease not in old)) if old else chunk


def _took_part_since(chunk: Chunk, gone: Replica) -> bool:
    """Whether the client of an ended lease has another replica that counts: one client never votes twice."""
    return any(r.client == gone.client and r.lease != gone.lease and r.state != "gone" for r in chunk.replicas)


def _decides(chunk: Chunk, digest: str, quorum: int) -> bool:
    """Whether a digest has the votes, or that of a trusted client."""
    trusted = any(r.trusted and not r.doubted and _vote_of(r) == digest for r in _voting(chunk))
    return trusted or _votes(chunk)[digest] >= quorum


def _settle(chunk: Chunk) -> Chunk:
    """Decide what follows from the replicas as they are now."""
    votes = _votes(chunk)
    decided = next((digest for digest in votes if _decides(chunk, digest, chunk.quorum)), None)
    if decided is not None:
        return _accepted(chunk, decided)
    error = _hopeless(chunk, sum(not r.doubted for r in _voting(chunk)))
    if error:
        return replace(_end_leases(chunk), state="failed", need=0, error=error)
    best = max(votes.values(), default=0)
    return replace(chunk, need=max(0, chunk.quorum - best - _at_work(chunk)))


def _accepted(chunk: Chunk, digest: str) -> Chunk:
    marks = chunk.quorum > 1
    judged = tuple(
        replace(r, wrong=_vote_of(r) != digest) if marks and r.state == "returned" else r
        for r in _end_leases(chunk).replicas
    )
    size = next(r.size for r in judged if r.state == "returned" and not r.canary and r.digest == digest)
    return replace(chunk, state="accepted", need=0, replicas=judged, digest=digest, size=size)


def _never_repeats(chunk: Chunk, results: int) -> bool:
    return results >= chunk.quorum + EXTRA_RESULTS


def _end_leases(chunk: Chunk) -> Chunk:
    ended = tuple(replace(r, state="gone") if r.state in LIVE else r for r in chunk.replicas)
    return replace(chunk, replicas=ended)


def _hopeless(chunk: Chunk, results: int) -> str:
    """Why the chunk is given up, in one sentence; empty where it is not."""
    failures = [r.failure for r in chunk.replicas if r.state == "failed" and r.failure]
    ours = [failure for failure in failures if failure.reason not in NOT_THE_PROGRAM]
    if len(ours) >= chunk.retries or len(failures) >= MACHINE_FAILURES:
        last = (ours or failures)[-1]
        runs = len(ours) or len(failures)
        return f"chunk {chunk.index} failed {runs} times; the last time: {last.message}"
    if chunk.lost >= MOST_LOST:
        return (
            f"chunk {chunk.index} was lost with its worker {chunk.lost} times: the program may take its container down"
            " with it"
        )
    if _never_repeats(chunk, results):
        return (
            f"chunk {chunk.index} gave {results} results and no {chunk.quorum} of them are equal: the program's output"
            " differs from run to run (random seeds, times, unordered output?)"
        )
    return ""
