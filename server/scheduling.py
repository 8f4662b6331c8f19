"""Leasing: which chunks a client gets now. Chunks come into being here, already leased."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from msgspec.structs import replace

from dockercomp.protocol.orders import Independence, JobSpec
from server import fairness, lifecycle
from server.lifecycle import Chunk, Grantee
from server.running import RunningJob, asks_people, deadline_s, portion_of, rules_of, running_job
from server.store import Store
from server.store.connection import Document

_MOST_SLOW = 64
_MORE = 16
"""Open chunks that are looked at beyond those asked for, to choose the most independent."""
_MOST_LEFT = 500
"""Chunks of a job that were begun and are not accepted, up to which those of an owner are left to other owners."""
_CANDIDATES = 8
"""Chunks with a known answer that are looked at for a canary."""
_FRESH_STAGES = 3
"""Most stages of jobs that one sync takes fresh chunks of: keeps its round trips bounded."""
_MOST_PASSED = 20_000
"""Chunks that one sync passes over, as they were taken over from an earlier job."""


@dataclass
class Grants:
    """What a client is given: chunks leased to it, and why it is not more."""

    changes: list[tuple[Chunk, Chunk]] = field(default_factory=list)
    """Existing chunks with the new lease, still to be stored."""
    fresh: list[Chunk] = field(default_factory=list)
    """New chunks, stored."""
    why_idle: str = ""


def _open_share(jobs: Sequence[RunningJob], want: int) -> int:
    """How many open chunks to ask for. Of a quorum of q, q - 1 in q replicas are of open chunks; asking for no more
    while there are fresh ones keeps a reserve, so that clients asking at once do not all want the same."""
    quorum = max((rules_of(job.spec, 0).quorum for job in jobs), default=1)
    if quorum == 1 or not any(job.fresh for job in jobs):
        return want if jobs else 0  # open chunks of quorum 1 were lost, or wait for a check: they come first
    return -(-want * (quorum - 1) // quorum)


class Scheduling:
    """Duties over leases. Holds no state between calls."""

    def __init__(self, store: Store, independent: Independence = "client") -> None:
        """`independent`: the least that replicas of a chunk must differ in, whatever their job asks for."""
        self._store = store
        self._independent = independent

    def choose(self, client: Document, jobs: Sequence[RunningJob], want: int, taken: set[str], sync: str) -> Grants:
        """Open chunks that need one more replica, leased in memory to the client; the caller stores them.

        `taken` are chunks that this sync changes already."""
        grants = Grants()
        share = _open_share(jobs, want)
        if share < 1:
            return grants
        by_id = {job.id: job for job in jobs}
        for chunk in self._needy(client, jobs, share):
            if len(grants.changes) == share:
                break
            if chunk.id in taken:
                continue
            leased = self._lease(client, chunk, by_id[chunk.job].spec, sync)
            if leased is not None:
                grants.changes.append((chunk, leased))
        return grants

    def _needy(self, client: Document, jobs: Sequence[RunningJob], share: int) -> list[Chunk]:
        """Chunks that need a replica, those of the jobs to be served first at first; of each of the two, those at first
        whose earlier replicas share least with this client."""
        first = {job.id for job in fairness.first_served(jobs)}
        found: list[Chunk] = []
        for served_first in (True, False):
            group = {job.id: self._asking(client, job) for job in jobs if (job.id in first) == served_first}
            if group and len(found) < share:
                looked_at = share - len(found) + min(share, _MORE)
                chunks = self._store.chunks.needing_replicas(group, looked_at)
                found += sorted(chunks, key=lambda chunk: lifecycle.dependence(chunk, group[chunk.job]))
        return found

    def test(
        self,
        client: Document,
        jobs: Sequence[RunningJob],
        due: Sequence[tuple[str, int]],
        taken: Collection[str],
        sync: str,
    ) -> Grants:
        """Chunks whose answer is known, leased in memory to the client as canaries for those that are `due`, as (job,
        stage): one round trip, and none where nothing is due. Fewer where this client had a part in what was found."""
        grants, by_id = Grants(), {job.id: job for job in jobs}
        known = [(job, stage) for job, stage in due if job in by_id and stage < len(by_id[job].stages)]
        for job, stage in known[:1]:
            last = secrets.randbelow(max(1, by_id[job].stages[stage]["cursor"]))
            for chunk in self._store.chunks.confirmed(job, stage, last, _CANDIDATES):
                leased = None if chunk.id in taken else self._canary(client, chunk, by_id[job].spec, sync)
                if leased is not None:
                    grants.changes.append((chunk, leased))
                    break
        return grants

    def double(self, client: Document, jobs: Sequence[RunningJob], want: int, taken: set[str], sync: str) -> Grants:
        """For a client for which nothing else is left: slow chunks of the last ones that run, one more lease each, and
        its own chunks of a job on trial that it is to run again."""
        grants, by_id = Grants(), {job.id: job for job in jobs}
        noted = [chunk for job in jobs for chunk in beside(job.document) if chunk not in taken]
        for chunk in self._store.chunks.by_ids(noted[:_MOST_SLOW]) if noted else []:
            if len(grants.changes) == want:
                break
            spec = by_id[chunk.job].spec
            leased = self._lease(client, chunk, spec, sync, spare=True) or self._again(client, chunk, spec, sync)
            if leased is not None:
                grants.changes.append((chunk, leased))
        return grants

    def issue(
        self, client: Document, jobs: Sequence[RunningJob], want: int, sync: str
    ) -> tuple[list[Chunk], dict[str, list[str]]]:
        """Fresh chunks, inserted as already leased to the client; and by job the ranges to be closed, as they exist."""
        issued: list[Chunk] = []
        ranges: dict[str, list[str]] = {}
        # Reducers that may begin come first: what they make smaller need not be kept.
        offers = [(job, stage) for job in jobs for stage in reversed(job.fresh) if _is_for(client, job.spec, stage)]
        for job, stage in offers[:_FRESH_STAGES]:
            if len(issued) >= want:
                break
            if stage == 0 and job.document.get("reused"):
                self.pass_over_reused(job)
            place, range_id = job.stages[stage], secrets.token_hex(8)
            most = portion_of(job, client, place["limit"] - place["cursor"])
            taken = self._store.jobs.take_range(job.id, stage, min(want - len(issued), most), range_id)
            if taken is not None:
                issued += self._insert(client, job, stage, taken, sync)
                ranges.setdefault(job.id, []).append(range_id)
        return issued, ranges

    def pass_over_reused(self, job: RunningJob) -> None:
        """Where the next chunks were taken over from an earlier job, let nobody take them for fresh ones."""
        start = stop = job.stages[0]["cursor"]
        last = min(start + _MOST_PASSED, job.stages[0]["limit"])
        for index, _, _ in self._store.chunks.canonical_results(job.id, 0, start, last):
            if index != stop:
                break
            stop += 1
        if stop > start:
            self._store.jobs.pass_over(job.id, 0, start, stop)

    def reissue(self, document: Document, older_than: float) -> int:
        """Bring into being the chunks of ranges that a dead master had handed out; returns how many were missing."""
        job = running_job(document)
        made = 0
        for opened in document["open_ranges"]:
            if opened["at"] >= older_than:
                continue
            missing = [
                lifecycle.fresh(job.id, opened["stage"], index, rules_of(job.spec, opened["stage"]))
                for index in range(opened["start"], opened["stop"])
            ]
            made += len(self._store.chunks.insert_new(missing))
            self._store.jobs.close_range(job.id, opened["id"])
        return made

    def take_back(self, client: str) -> list[tuple[Chunk, Chunk]]:
        """End every lease of a client: its chunks go to others. Returns the changes that were stored."""
        done: list[tuple[Chunk, Chunk]] = []
        while held := self._store.chunks.held_by(client):
            changes = [(chunk, after) for chunk in held if (after := _without(chunk, client)) is not chunk]
            if not changes:
                break
            stored = self._store.chunks.compare_and_set(changes, secrets.token_hex(8))
            done += [change for change in changes if change[0].id in stored]
        return done

    def _insert(self, client: Document, job: RunningJob, stage: int, taken: tuple[int, int], sync: str) -> list[Chunk]:
        rules = rules_of(job.spec, stage)
        chunks = [
            self._lease(client, lifecycle.fresh(job.id, stage, index, rules), job.spec, sync) for index in range(*taken)
        ]
        return self._store.chunks.insert_new([chunk for chunk in chunks if chunk is not None])

    def _lease(self, client: Document, chunk: Chunk, spec: JobSpec, sync: str, *, spare: bool = False) -> Chunk | None:
        if not _is_for(client, spec, chunk.stage):
            return None
        return lifecycle.grant(
            chunk,
            self._grantee(client, spec),
            nonce=secrets.token_hex(4),
            deadline=client["seen"] + deadline_s(spec),
            sync=sync,
            spare=spare,
        )

    def _canary(self, client: Document, chunk: Chunk, spec: JobSpec, sync: str) -> Chunk | None:
        to, deadline = self._grantee(client, spec), client["seen"] + deadline_s(spec)
        return lifecycle.grant_canary(chunk, to, nonce=secrets.token_hex(4), deadline=deadline, sync=sync)

    def _again(self, client: Document, chunk: Chunk, spec: JobSpec, sync: str) -> Chunk | None:
        to, deadline = self._grantee(client, spec), client["seen"] + deadline_s(spec)
        return lifecycle.grant_again(chunk, to, nonce=secrets.token_hex(4), deadline=deadline, sync=sync)

    def _asking(self, client: Document, job: RunningJob) -> Grantee:
        """A client as a job sees it that looks for chunks others began."""
        to = self._grantee(client, job.spec)
        return replace(to, independent="owner") if to.independent == "client" and _left_to_others(job) else to

    def _grantee(self, client: Document, spec: JobSpec) -> Grantee:
        return grantee(client, spec, self._independent)


def _left_to_others(job: RunningJob) -> bool:
    """Whether another opinion is left to clients of other owners: there are some, and this one has fresh chunks to do,
    so that nobody waits; but not where it gets too much for those."""
    if not job.fresh or job.document.get("owners_able", 1) < 2:
        return False
    counters = job.document.get("counters", {})
    begun = sum(stage["cursor"] for stage in job.stages)
    return bool(begun - sum(counters.get(f"accepted_{n}", 0) for n in range(len(job.stages))) < _MOST_LEFT)


def beside(job: Document) -> list[str]:
    """Chunks that housekeeping noted for whoever has nothing else to do."""
    return [*job.get("slow", []), *job.get("again", [])]


def grantee(client: Document, spec: JobSpec, at_least: Independence = "client") -> Grantee:
    """A client, or a person, as a chunk's rules see it; a job may ask for more independence than `at_least`."""
    kind = (client.get("machine") or {}).get("cpu_kind", "") if spec.verify.same_cpu else ""
    person = bool(client.get("person"))
    return Grantee(
        client["_id"],
        client["owner"],
        block=block_of(client.get("address", "")),
        token=client.get("token", ""),
        cpu_kind=kind,
        trusted=bool(client.get("trusted")),
        independent="client" if person else max(spec.verify.independent, at_least, key=_STRICTNESS.index),
    )


_STRICTNESS: tuple[Independence, ...] = ("client", "owner", "address")


@lru_cache(maxsize=10_000)
def block_of(address: str) -> str:
    """The block of addresses that one site or line has: /24 of IPv4, /48 of IPv6; empty where there is none."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ip_network((found, 24 if isinstance(found, IPv4Address) else 48), strict=False))


def _is_for(client: Document, spec: JobSpec, stage: int) -> bool:
    """Whether a stage's chunks are for this client, or for this person, who stands in for one."""
    return asks_people(spec, stage) == bool(client.get("person"))


def _without(chunk: Chunk, client: str) -> Chunk:
    for replica in chunk.replicas:
        if replica.client == client:
            chunk = lifecycle.release(chunk, replica.lease).chunk
    return chunk
