"""Why a chunk or a client is as it is, in one sentence with the way out: pure, no I/O."""

from collections.abc import Collection, Sequence

from server import lifecycle
from server.lifecycle import Chunk, Replica
from server.store.connection import Document


def of_chunk(chunk: Chunk, able: Sequence[str], dependent: Collection[str] = ()) -> str:
    """`able` are the clients, alive now, that can run its job; `dependent` those of them that may not have this chunk
    for what they share with those that had it, or for their kind of CPU."""
    if chunk.state == "accepted":
        return _accepted(chunk)
    if chunk.state == "failed":
        return f"{chunk.error}; mend the cause, then: dockercomp retry {chunk.job}"
    if chunk.state == "cancelled":
        return f"its job ended before it did; to run it after all: dockercomp retry {chunk.job}"
    returned = [r for r in chunk.replicas if r.state == "returned"]
    live = [r for r in chunk.replicas if r.state in lifecycle.LIVE and not lifecycle.stands_aside(r)]
    best = chunk.quorum - chunk.need - len(live)
    so_far = f"{max(best, 0)} of {chunk.quorum} equal results are there"
    if live and chunk.need < 1:
        return f"it runs on {_names(live)}; {so_far}"
    others = sorted(set(able) - set(lifecycle.barred_clients(chunk)))
    left = [client for client in others if client not in dependent]
    if not able:
        return f"it waits: no connected client can run its job; dockercomp explain {chunk.job} says why"
    if others and not left:
        return (
            "it waits for a client that shares neither owner nor address with those that had it, and has the same kind"
            f" of CPU, as far as its job asks for that: {so_far}, and none of the {len(able)} that can run it is one;"
            " connect one more"
        )
    if not left and lifecycle.blamed(chunk):
        return f"it failed on every client that can run it, and is tried on them again; {_last_failure(chunk)}"
    if not left:
        return (
            f"it waits for another client: {so_far}, and each of the {len(able)} that can run it has had it; connect"
            " one more"
        )
    if len(returned) > best:
        return f"its results differ ({so_far}), so it waits for another client to decide"
    return f"it waits for a client to ask for work: {so_far}, and {len(left)} can run it"


def unborn(index: int, issued: int, limit: int, total: int) -> str:
    """Why a chunk does not exist yet."""
    if index >= total:
        return f"there is no such chunk: the stage has {total}, counted from 0"
    if index >= limit:
        return "it waits for the results that it reads"
    if index < issued:
        return "it is being handed out, or was when its master was lost: then it is handed out again within a minute"
    return f"it was not handed out yet: chunks are handed out in order, and {index - issued} are before it"


def of_client(client: Document, silent: bool, jobs: Sequence[tuple[str, str]]) -> str:
    """`jobs` are the running jobs, each with why this client cannot run it (empty where it can)."""
    if client["state"] == "retired":
        return "it is retired: it was removed, or silent for two weeks; to come back it has to enrol again"
    if silent:
        return "it is silent: switched off, stopped or cut off; on the machine, try: dockercomp-worker status"
    if client["allocation"].get("paused"):
        return f"it is paused by the admin: resume it on its page, or: dockercomp allocate {client['_id']} --resume"
    if client["allocation"]["containers"] < 1:
        some = f"dockercomp allocate {client['_id']} --containers N"
        return f"it is given no containers: give it some on its page, or: {some}"
    if client.get("held"):
        return f"it works: it holds {client['held']} chunks"
    if not jobs:
        return "it is idle because no job is running"
    refusals = [reason for _, reason in jobs if reason]
    if len(refusals) == len(jobs):
        return f"it is idle: {refusals[0]}"
    return client.get("status") or "it waits for chunks: the remaining ones are with others"


def facts_of_chunk(chunk: Chunk) -> list[str]:
    """One line for each replica."""
    return [f"client {r.client}: {_replica(r)}" for r in chunk.replicas]


def _replica(replica: Replica) -> str:
    if replica.failure:
        return f"failed ({replica.failure.reason}): {replica.failure.message}"
    if replica.state == "returned":
        verdict = f"; {said}" if (said := beside(replica)) else ", outvoted" if replica.wrong else ""
        return f"returned {replica.size} bytes, {replica.digest[:12]}{verdict}"
    return {"leased": "runs it", "committed": "sends its result"}.get(replica.state, "its lease ended without a result")


def beside(replica: Replica) -> str:
    """What was special about a result, once it came back; empty of an ordinary one."""
    if replica.state != "returned":
        return ""
    if replica.canary:
        return f"asked again to test its client: it {'is not' if replica.wrong else 'is'} the known answer"
    if replica.again:
        return "a second run, to see whether the program repeats its results"
    if replica.doubted and not replica.wrong:
        return "its client was found wrong in this job, so it does not count by itself"
    return ""


def _accepted(chunk: Chunk) -> str:
    if chunk.reused:
        return f"it is accepted: its result was taken from chunk {chunk.reused}"
    agreed = lifecycle.support(chunk)
    if lifecycle.sole(chunk):
        return f"it is accepted on the word of {_names(agreed)}: the draw did not ask for a check of it"
    wrong = [r for r in chunk.replicas if r.wrong and not r.canary]
    outvoted = f"; {_names(wrong)} had another result and {'were' if len(wrong) > 1 else 'was'} outvoted"
    return f"it is accepted: {_names(agreed)} agreed{outvoted if wrong else ''}"


def _last_failure(chunk: Chunk) -> str:
    failures = [r.failure for r in chunk.replicas if r.failure]
    return f"the last time: {failures[-1].message}" if failures else ""


def _names(replicas: Sequence[Replica]) -> str:
    names = [replica.client for replica in replicas]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
