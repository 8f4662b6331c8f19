"""How results decide a chunk: votes, and what follows from them. Pure, no I/O.

Results vote in groups. Under a comparator with tolerances a result votes for the first one that it equals, its group's
representative, whose digest is the canonical one if the group wins. Every result is compared with representatives only:
closeness is not transitive, and a chain of small differences must not join two results that are far apart.
"""

from msgspec.structs import replace

from server.chunk import Chunk, Replica, at_work, end_leases, stands_aside

NOT_THE_PROGRAM = frozenset({"input", "image", "engine", "refused"})
"""Failure reasons that say nothing about the job: they weigh against a chunk only when there are very many."""
MACHINE_FAILURES = 20
MOST_LOST = 100
"""A chunk whose lease ended this often without a word is given up: it probably takes its worker down with it."""
_DECIDES = 1000
"""Votes that count like any quorum."""
EXTRA_RESULTS = 6
"""A chunk with quorum + EXTRA_RESULTS results and no quorum is given up: its results do not repeat."""


def vote_of(replica: Replica) -> str:
    return replica.vote or replica.digest


def voters(chunk: Chunk) -> list[Replica]:
    """The results that vote."""
    return [r for r in chunk.replicas if r.state == "returned" and not stands_aside(r)]


def differs(chunk: Chunk) -> bool:
    """Whether an open chunk has results that are not equal."""
    return chunk.state == "open" and len(representatives(chunk)) > 1


def unrepeated(chunk: Chunk) -> tuple[str, str] | None:
    """The results, as votes, of a client that ran the chunk twice and gave another the second time; None where all
    second runs gave the same again."""
    first = {r.client: vote_of(r) for r in voters(chunk)}
    seconds = [r for r in chunk.replicas if r.again and r.state == "returned"]
    return next(((first[r.client], vote_of(r)) for r in seconds if first.get(r.client, vote_of(r)) != vote_of(r)), None)


def votes_of(chunk: Chunk) -> dict[str, int]:
    """Votes by digest; those of doubted clients for the same one count once, that of a trusted one decides."""
    votes: dict[str, int] = {}
    doubted: set[str] = set()
    for replica in voters(chunk):
        vote = vote_of(replica)
        if replica.doubted:
            doubted.add(vote)
        else:
            votes[vote] = votes.get(vote, 0) + (_DECIDES if replica.trusted else 1)
    for vote in doubted:
        votes[vote] = votes.get(vote, 0) + 1
    return votes


def representatives(chunk: Chunk) -> list[str]:
    """The digests that are voted for, the first returned first. Each of them is that of a stored result."""
    return list(dict.fromkeys(vote_of(r) for r in voters(chunk)))


def vote_for(chunk: Chunk, digest: str) -> str | None:
    """What a result with this digest votes for, where an equal one has voted already: the same bytes, the same vote."""
    return next((vote_of(r) for r in voters(chunk) if r.digest == digest), None)


def support(chunk: Chunk) -> list[Replica]:
    """The results that an accepted chunk's canonical one rests on."""
    return [r for r in voters(chunk) if vote_of(r) == chunk.digest] if chunk.state == "accepted" else []


def settle(chunk: Chunk) -> Chunk:
    """Decide what follows from the replicas as they are now."""
    votes = votes_of(chunk)
    decided = next((digest for digest, count in votes.items() if count >= chunk.quorum), None)
    if decided is not None:
        return _accepted(chunk, decided)
    error = _hopeless(chunk, sum(not r.doubted for r in voters(chunk)))
    if error:
        return replace(end_leases(chunk), state="failed", need=0, error=error)
    best = max(votes.values(), default=0)
    return replace(chunk, need=max(0, chunk.quorum - best - at_work(chunk)))


def _accepted(chunk: Chunk, digest: str) -> Chunk:
    marks = chunk.quorum > 1
    judged = tuple(
        replace(r, wrong=not r.wrong) if marks and _is_judged(r) and r.wrong == (vote_of(r) == digest) else r
        for r in end_leases(chunk).replicas
    )
    size = next(r.size for r in judged if not stands_aside(r) and r.state == "returned" and r.digest == digest)
    return replace(chunk, state="accepted", need=0, replicas=judged, digest=digest, size=size)


def _is_judged(replica: Replica) -> bool:
    return replica.state == "returned" and not replica.again


def never_repeats(chunk: Chunk, results: int) -> bool:
    return results >= chunk.quorum + EXTRA_RESULTS


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
    if never_repeats(chunk, results):
        return (
            f"chunk {chunk.index} gave {results} results and no {chunk.quorum} of them are equal: the program's output"
            " differs from run to run (random seeds, times, unordered output?)"
        )
    return ""
