"""Results that were accepted and are looked at again: on one client's word, after a client was found wrong, or because
what they read has changed. Pure, no I/O."""

from msgspec.structs import replace

from server.chunk import LIVE, Chunk
from server.voting import settle, support, vote_of, voters, votes_of


def sole(chunk: Chunk) -> str:
    """The client on whose single word an accepted result of an adaptive job rests; empty where others confirmed it, or
    the client is trusted."""
    if chunk.state != "accepted" or not chunk.full or chunk.reused:
        return ""
    support = [r for r in voters(chunk) if vote_of(r) == chunk.digest]
    return support[0].client if len(support) == 1 and not support[0].trusted else ""


def confirmed(chunk: Chunk) -> bool:
    """Whether an accepted result of an adaptive job is that of a quorum."""
    return chunk.state == "accepted" and chunk.full > 0 and not chunk.reused and not sole(chunk)


def doubt(chunk: Chunk, client: str) -> Chunk:
    """A client was found wrong in this job: what rests on its word alone is open again until another confirms it."""
    if not any(r.client == client and r.state == "returned" and not r.doubted for r in chunk.replicas):
        return chunk
    replicas = tuple(
        replace(r, doubted=True) if r.client == client and r.state == "returned" else r for r in chunk.replicas
    )
    doubted = replace(chunk, replicas=replicas, version=chunk.version + 1)
    if chunk.state == "accepted" and votes_of(doubted).get(chunk.digest or "", 0) >= max(chunk.quorum, chunk.full):
        return doubted
    return _open_for_check(doubted)


def recheck(chunk: Chunk) -> Chunk:
    """Open a result that rests on one client's word for one more opinion."""
    return _open_for_check(replace(chunk, version=chunk.version + 1)) if sole(chunk) else chunk


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
    given = voters(chunk)
    if chunk.state != "open" or not chunk.full or len(given) != 1 or given[0].doubted:
        return chunk
    return settle(replace(chunk, quorum=1, version=chunk.version + 1))


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
    return settle(after) if chunk.state == "open" else after


def changed(chunk: Chunk) -> bool:
    """Whether later stages may have read another result of it than its present one."""
    return chunk.state == "accepted" and (chunk.stale or chunk.was not in ("", chunk.digest))


def adopt(chunk: Chunk) -> Chunk:
    """Whatever read an earlier result of it will be run anew: its present one is the one that counts."""
    return replace(chunk, was="", was_size=0, stale=False, version=chunk.version + 1) if changed(chunk) else chunk


def redo(chunk: Chunk) -> Chunk:
    """What it reads has changed: it is run anew, whatever its state; nothing of before votes."""
    failures = sum(1 for r in chunk.replicas if r.state == "failed")
    return settle(
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
    return settle(replace(_remembered(chunk), state="open", quorum=quorum, digest=None, size=None, replicas=replicas))
