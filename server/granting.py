"""Who may be given a chunk: for its quorum, as one to spare, or as a canary. Pure, no I/O."""

from msgspec.structs import replace

from server.checking import confirmed
from server.chunk import Chunk, Grantee, Replica, at_work, barred_clients, lease_id, participants
from server.voting import differs, voters, votes_of

MOST_CANARIES = 3
"""Canaries of one chunk: its document must not grow with the length of a job."""


def grant(
    chunk: Chunk, to: Grantee, *, nonce: str, deadline: float, sync: str = "", spare: bool = False
) -> Chunk | None:
    """Lease the chunk; None where the client may not have it: no replica needed, it took part already, its machine is
    of another class, or it is not independent of those that took part. `spare`: one replica more than needed, for
    whoever is faster."""
    wanted = chunk.need > 0 or (spare and may_be_doubled(chunk))
    if chunk.state != "open" or not wanted or to.client in barred_clients(chunk) or not may_join(chunk, to):
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


def grant_again(chunk: Chunk, to: Grantee, *, nonce: str, deadline: float, sync: str = "") -> Chunk | None:
    """Lease a chunk whose results differ to one of its own clients, to see whether it gives its own result again; None
    where it has none, or did so before."""
    voted = any(r.client == to.client for r in voters(chunk))
    if not differs(chunk) or not voted or any(r.client == to.client and r.again for r in chunk.replicas):
        return None
    replica = replace(_lease(chunk, to, nonce, deadline, sync), again=True)
    return replace(chunk, replicas=(*chunk.replicas, replica), version=chunk.version + 1)


def may_be_doubled(chunk: Chunk) -> bool:
    """Whether one client more than needed may run the chunk: all that are needed run it, and no other does."""
    votes = votes_of(chunk)
    live = at_work(chunk)
    return chunk.state == "open" and 0 < live == chunk.quorum - max(votes.values(), default=0)


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
        independent=to.independent,
    )


def dependence(chunk: Chunk, to: Grantee) -> int:
    """What a client shares with those that took part, 0 to 3: owner, address block, enrolment token."""
    others = participants(chunk)
    shared = ((r.owner == to.owner, _same(r.block, to.block), _same(r.token, to.token)) for r in others)
    return sum(map(any, zip(*shared, strict=True)))


def may_join(chunk: Chunk, to: Grantee) -> bool:
    """Whether a client's result may count beside those of the others: it is as independent as the job asks, and of
    their class of machines."""
    return chunk.cpu_kind in ("", to.cpu_kind) and _independent(chunk, to)


def still_independent(chunk: Chunk, ended: Replica) -> bool:
    """Whether a lease that has ended may still bring a result: whoever took part since is as independent of it as the
    job asked."""
    return _independent(chunk, ended)


def _independent(chunk: Chunk, to: Grantee | Replica) -> bool:
    others = participants(chunk)
    if to.independent == "client":
        return True
    if any(r.owner == to.owner for r in others):
        return False
    return to.independent == "owner" or all(r.block != to.block for r in others)


def _same(one: str, other: str) -> bool:
    return bool(one) and one == other
