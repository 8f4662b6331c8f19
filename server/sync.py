"""A worker's one round trip: results in, leases out, in a fixed number of database round trips.

Order matters. The client is renewed first, which also gives the database's time. Payloads are durable before their
chunks move, chunks are moved before they are acknowledged, and fresh chunks exist before they are leased out.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from dockercomp import __version__
from dockercomp.protocol.errors import NotFound, ProtocolUnsupported, StaleSync, Unauthorized
from dockercomp.protocol.messages import (
    INLINE_LIMIT,
    PROTOCOL,
    SYNC_LIMIT,
    Allocation,
    Lease,
    ResultReport,
    SignedOrder,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.orders import NUMBER_SPLITS, Independence
from server import fairness, lifecycle, plan, splitting
from server.allocating import Allocating
from server.drawing import Draw
from server.inputs import Inputs
from server.learning import Learning
from server.lifecycle import Chunk, Replica
from server.metrics import Metrics
from server.pace import Crowd, Situation, call_again_s, longest_s
from server.progress import standing
from server.running import RunningJob, ends, paused, platform_of, running_job, stages_of, unfit, width_of
from server.scheduling import Scheduling, beside
from server.stages import Stages
from server.store import Store
from server.store.connection import Document
from server.store.streams import Told
from server.store.way import STEPS
from server.verification import Intake, Verification
from server.wants import allowed_by

_MOST_HELD = 2 * SYNC_LIMIT
_INLINE_ROOM = 16 * 2**20
"""Bytes of input that ride inside one answer."""


class Sync:
    """Answers syncs. Holds no state between calls: any master may answer any of them."""

    def __init__(
        self,
        store: Store,
        inputs: Inputs,
        metrics: Metrics,
        *,
        heartbeat_s: float,
        draws: bytes,
        independent: Independence = "client",
    ) -> None:
        """`draws` is the secret of this instance's masters that decides what is checked; `independent` the least that
        replicas must differ in, whatever their job asks for."""
        self._metrics = metrics
        self._store = store
        self._inputs = inputs
        self._scheduling = Scheduling(store, independent)
        self._draws = draws
        self._verification = Verification(store)
        self._learning = Learning(store)
        self._allocating = Allocating(store)
        self._stages = Stages(store, inputs.sources)
        self._heartbeat_s = heartbeat_s
        self._crowd = Crowd()

    def answer(self, client_id: str, secret_hash: str, request: SyncRequest, address: str) -> SyncAnswer:
        """Raises Unauthorized, ProtocolUnsupported, StaleSync, Unavailable. Safe to repeat with the same `seq`."""
        if request.protocol != PROTOCOL:
            raise ProtocolUnsupported(
                f"this master speaks protocol {PROTOCOL}, the worker {request.protocol}:"
                " install the worker again from here"
            )
        phase = self._metrics.phase
        crowd = self._crowd.size  # as counted before: the same for the pause it is asked for, and for our patience
        with phase("renew the client"):
            client = self._renew(client_id, secret_hash, request, address, crowd)
        sync = f"{client_id}/{request.session}/{request.seq}"
        with phase("read running jobs"):
            jobs = self._jobs_for(client, request)

        by_id = {job.id: job for job in jobs}
        draw = Draw(self._draws, client, by_id)
        reports, intake = draw.believed(request.results[:SYNC_LIMIT]), Intake(now=client["seen"])
        with phase("read its chunks"):
            mine = self._my_chunks(client_id, request)
        with phase("store payloads"):
            durable, corrupted = self._verification.store_payloads(client_id, reports, mine)
        with phase("decide"):
            self._verification.take_in(
                client_id, [r for r in reports if r.lease not in corrupted], mine, durable, intake, draw.check
            )
            self._verification.refuse(client_id, corrupted, mine, intake)
            again = self._end_leases(client, request, mine, intake, by_id, sync)

        want = 0 if request.leaving or client["repeat"] else _bounded_want(request)
        fit, why_unfit = self._fit_jobs(client, jobs)
        if why := paused(client):
            want, why_unfit = 0, why
        with phase("choose open chunks"):
            granted = self._choose(client, fit, want, draw.canaries(reports), set(intake.changes), sync)
        changes = [*intake.changes.values(), *granted]
        with phase("compare and set"):
            stored = self._store.chunks.compare_and_set(changes, secrets.token_hex(8))
        leased = [after for _, after in granted if after.id in stored]
        self._metrics.count_stored(len(stored), len(changes))
        with phase("issue fresh chunks"):
            fresh, ranges = self._scheduling.issue(client, fit, want - len(leased), sync)
            leased += fresh
        leased += self._double(client, fit, want - len(leased), {chunk.id for chunk in leased}, sync)
        with phase("count"):
            self._store.usage.charge(fairness.charges(leased, {job.id: job for job in fit}))
            moved = self._count_and_advance(
                client, jobs, [change for change in changes if change[0].id in stored], ranges, reports
            )

        given = [chunk for chunk in (*again, *leased) if chunk.job in by_id]
        with phase("answer"):
            leases = self._leases(by_id, given, client, sync)
            not_listed = [job for job in request.known_jobs if job not in by_id]
            closed = self._store.jobs.ended_among(not_listed) if not_listed else []
            orders = self._orders({lease.job for lease in leases} - set(request.known_jobs))
        self._keep_streams(client_id, request, mine)
        self._crowd.heard(client_id, time.monotonic(), lambda: self._store.clients.count_alive(client["seen"]))
        situation = Situation(
            jobs=bool(jobs),
            watched=_watched(client),
            idle=not jobs or len(leases) < want,
            moved=moved,
            crowd=crowd,
        )
        return SyncAnswer(
            protocol=PROTOCOL,
            seq=request.seq,
            acks=[ack for chunk, ack in intake.acks.values() if not chunk or chunk in stored],
            leases=leases,
            orders=orders,
            cancelled=_cancelled(request, mine, intake, set(by_id)),
            closed_jobs=closed,
            allocation=msgspec.convert(client["allocation"], Allocation),
            call_again_s=call_again_s(situation),
            why_idle=_why_idle(want, len(leases), jobs, why_unfit, client),
            points=self._learning.tell(client, {*request.known_jobs, *(lease.job for lease in leases)}, by_id),
            worker_version=__version__,
        )

    def _renew(self, client_id: str, secret_hash: str, request: SyncRequest, address: str, crowd: int) -> Document:
        """The client as it is now, heard of once more, and with what it is given now."""
        client = self._store.clients.heard(
            client_id,
            secret_hash,
            request.session,
            request.seq,
            _report_of(request, address),
            told=standing(request.applied, len(request.containers)) if request.applied else None,
            paused=any(container.state == "paused" for container in request.containers),
            patience=max(0.0, longest_s(crowd) - self._heartbeat_s),
        )
        if client is None:
            raise Unauthorized("unknown client, wrong secret, or retired: enrol again with an enrolment token")
        if client["stale"]:
            raise StaleSync(f"sync {request.seq} is older than the last one answered")
        return self._given(client)

    def _given(self, client: Document) -> Document:
        """The client with what it is given now: another allocation where what it allows changed and it follows its
        group; and its history written down where a sync brought it on. In most syncs there is neither."""
        if client["recast"] and self._allocating.settle([client], self._allocating.groups()):
            now = self._store.clients.by_id(client["_id"]) or client
            client = client | {key: now[key] for key in ("allocation", "group") if key in now}
        if any(client["way"].get(step) == client["seen"] for step in STEPS):
            self._store.allocations.record([client["_id"]])
        return client

    def _choose(
        self,
        client: Document,
        jobs: Sequence[RunningJob],
        want: int,
        canaries: Sequence[tuple[str, int]],
        taken: set[str],
        sync: str,
    ) -> list[tuple[Chunk, Chunk]]:
        """Existing chunks, leased in memory: the canaries that are due, then such as need one more replica."""
        tests = self._scheduling.test(client, jobs, canaries[:want], taken, sync).changes
        taken = taken | {before.id for before, _ in tests}
        return [*tests, *self._scheduling.choose(client, jobs, want - len(tests), taken, sync).changes]

    def _keep_streams(self, client_id: str, request: SyncRequest, mine: dict[str, Chunk]) -> None:
        """What running chunks tell, as far as they are this client's; one round trip where there is something."""
        if request.running or any(report.wall_s >= _WORTH_TELLING_S for report in request.results):
            of = {replica.lease: chunk for chunk in mine.values() for replica in chunk.replicas}
            live = {lease for chunk in mine.values() for lease in lifecycle.live_leases(chunk)}
            reports = [r for r in request.running if r.lease in live and r.lease.startswith(f"{client_id}.")]
            told = [Told((chunk := of[r.lease]).job, chunk.stage, chunk.index, r) for r in reports]
            with self._metrics.phase("keep what runs tell"):
                self._store.streams.take(client_id, told, [report.lease for report in request.results])

    def _jobs_for(self, client: Document, request: SyncRequest) -> list[RunningJob]:
        """The jobs this client can run or has leases of; where there are none, some others, to say why not."""
        given = client.get("applied") or client["allocation"]
        leases = (*request.held, *(report.lease for report in request.results))
        also = {lifecycle.chunk_of_lease(lease).split(".")[0] for lease in leases}
        documents = self._store.jobs.running_for(
            platform_of(client),
            given["memory"],
            sorted(also),
            allows=allowed_by(client),
            width=width_of(client),
            given=client["allocation"].get("jobs") or (),
        )
        return [running_job(document) for document in documents or self._store.jobs.running(limit=5)]

    def _my_chunks(self, client_id: str, request: SyncRequest) -> dict[str, Chunk]:
        reported = {lifecycle.chunk_of_lease(report.lease) for report in request.results} - {""}
        return {chunk.id: chunk for chunk in self._store.chunks.of_client(client_id, reported)}

    def _end_leases(
        self,
        client: Document,
        request: SyncRequest,
        mine: dict[str, Chunk],
        intake: Intake,
        jobs: Mapping[str, RunningJob],
        sync: str,
    ) -> list[Chunk]:
        """Take back earlier leases that the client does not name any more, and those past their deadline; leases
        granted by this very sync, whose answer was lost, are given again."""
        named = {*request.held, *(report.lease for report in request.results)}
        again: list[Chunk] = []
        for chunk in mine.values():
            for replica in chunk.replicas:
                if replica.client != client["_id"] or replica.state not in lifecycle.LIVE:
                    continue
                if ends(jobs.get(chunk.job), client, replica.deadline) >= client["seen"]:
                    if replica.lease in named:
                        continue
                    if replica.sync == sync:
                        again.append(chunk)
                    if _granted_since(replica.sync, request):
                        continue
                before = intake.present(chunk)
                intake.change(before, lifecycle.release(before, replica.lease).chunk)
        return again

    def _fit_jobs(self, client: Document, jobs: Sequence[RunningJob]) -> tuple[list[RunningJob], str]:
        """The jobs this client can run, those to be served first at first, and why it cannot run the first of the
        others. What owners used is asked for only where several have work."""
        platform = platform_of(client)
        reasons = [(job, job.document.get("held") or unfit(job, client, platform)) for job in jobs]
        fit = [job for job, reason in reasons if not reason]
        owners = {job.owner for job in fit}
        used = self._store.usage.of(owners) if len(owners) > 1 else {}
        return fairness.in_order(fit, used), next((reason for _, reason in reasons if reason), "")

    def _double(
        self, client: Document, jobs: Sequence[RunningJob], want: int, taken: set[str], sync: str
    ) -> list[Chunk]:
        """One more lease of chunks that are slow, where there is nothing else to do."""
        if want < 1 or not any(beside(job.document) for job in jobs):
            return []
        with self._metrics.phase("double slow chunks"):
            changes = self._scheduling.double(client, jobs, want, taken, sync).changes
            stored = self._store.chunks.compare_and_set(changes, secrets.token_hex(8))
        self._metrics.chunks.labels("leased once more").inc(len(stored))
        return [after for _, after in changes if after.id in stored]

    def _count_and_advance(
        self,
        client: Document,
        jobs: Sequence[RunningJob],
        changes: Sequence[tuple[Chunk, Chunk]],
        ranges: dict[str, list[str]],
        reports: Sequence[ResultReport],
    ) -> bool:
        """Count what was stored of jobs that run and what it tells of their speed-up, close the ranges whose chunks now
        exist, and move on a job that this completed; True where one moved."""
        moved = False
        by_id = {job.id: job for job in jobs}
        changes = [change for change in changes if change[0].job in by_id]
        failed = {after.job for _, after in changes if after.state == "failed"}
        counters = self._verification.count(
            changes,
            lambda chunk, replica: _age(by_id, client, chunk, replica),
            now=float(client["seen"]),
            excused={report.lease for report in reports if report.outcome == "returned"},
        )
        for job in jobs:
            counted: Mapping[str, float] = counters.get(job.id, {})
            if counted or job.id in ranges:
                now = self._store.jobs.count(job.id, dict(counted), ranges.get(job.id, []))
                if job.id in failed or _completed_a_stage(job, counted, now):
                    moved |= self._stages.advance(job.document)
        self._learning.take(client, by_id, changes, reports)  # last: what fails here takes no count along
        return moved

    def _leases(self, jobs: dict[str, RunningJob], given: Sequence[Chunk], client: Document, sync: str) -> list[Lease]:
        leases, room = [], _INLINE_ROOM
        for chunk in given:
            lease = self._lease(jobs[chunk.job], chunk, client, sync, room)
            room -= len(lease.input or b"")
            leases.append(lease)
        return leases

    def _lease(self, job: RunningJob, chunk: Chunk, client: Document, sync: str, room: int) -> Lease:
        replica = _replica_of(chunk, client["_id"], sync)
        lease = Lease(
            id=replica.lease,
            job=chunk.job,
            stage=chunk.stage,
            index=chunk.index,
            deadline_s=max(0.0, ends(job, client, replica.deadline) - client["seen"]),
        )
        split = job.spec.input
        if chunk.stage == 0 and split.split in NUMBER_SPLITS:
            start, stop = splitting.numbers(split, chunk.index)
            return msgspec.structs.replace(lease, start=start, stop=stop, input=b"")
        with suppress(NotFound):  # whoever holds the lease asks for its input, and is told what is missing
            fetches = self._inputs.fetches(job.document, job.spec, chunk)
            if fetches is not None:
                return msgspec.structs.replace(
                    lease, fetch=fetches[0], pieces=fetches[1], has_pieces=fetches[1] is not None
                )
            small = self._inputs.small(job.document, job.spec, chunk, min(INLINE_LIMIT, room))
            if small is not None:
                data = small.read_at(0, small.size)
                return msgspec.structs.replace(
                    lease, input=data, input_size=small.size, pieces=small.pieces, has_pieces=small.pieces is not None
                )
        return msgspec.structs.replace(lease, has_pieces=chunk.stage > 0 or split.split == "files")

    def _orders(self, jobs: set[str]) -> list[SignedOrder]:
        if not jobs:
            return []
        return [
            SignedOrder(
                job=found["_id"],
                body=found["order"],
                key=found["key"],
                signature=found["signature"],
                scientist_key=found.get("scientist_key", ""),
                scientist=found.get("scientist", b""),
                scientist_signature=found.get("scientist_signature", b""),
            )
            for found in self._store.jobs.orders(sorted(jobs))
        ]


def _age(jobs: Mapping[str, RunningJob], client: Document, chunk: Chunk, replica: Replica) -> float:
    """How many seconds ago a replica was leased; 0 where its job does not run any more."""
    job = jobs.get(chunk.job)
    return max(0.0, float(client["seen"]) - job.granted(replica.deadline)) if job else 0.0


def _completed_a_stage(job: RunningJob, counted: Mapping[str, float], now: Document) -> bool:
    """Whether this sync brought the last results of a stage that may be moved on within a sync."""
    stages = stages_of(job.document)
    listed = max(stage["total"] for stage in stages) * max(1, plan.sections(job.spec))
    return listed <= _ADVANCE_AT_ONCE and any(
        counted.get(f"accepted_{number}") and now.get(f"accepted_{number}", 0) >= stage["total"]
        for number, stage in enumerate(stages)
    )


_WORTH_TELLING_S = 2.0
"""Seconds after which workers tell of a chunk while it runs."""

_ADVANCE_AT_ONCE = 10_000
"""Jobs of more chunks, or sections for reducers, are moved on by housekeeping, so that no sync waits for a listing."""


def _report_of(request: SyncRequest, address: str) -> Document:
    """What the client's document keeps of a sync."""
    report: Document = {
        "containers": msgspec.to_builtins(request.containers),
        "status": request.status,
        "load": request.load,
        "address": address,
        "leaving": request.leaving,
        "refused_jobs": msgspec.to_builtins(request.refused_jobs),
        "held": len(request.held),
        "problems": list(request.problems),
    }
    for key, value in (("applied", request.applied), ("machine", request.machine), ("ceiling", request.ceiling)):
        if value is not None:
            report[key] = msgspec.to_builtins(value)
    return report


def _watched(client: Document) -> bool:
    """Whether an admin has a page open on which this client is."""
    return bool(client.get("watched_until", 0.0) > client["seen"])


def _bounded_want(request: SyncRequest) -> int:
    """No client holds a whole job back: what it wants and what it holds are bounded together."""
    return max(0, min(request.want, SYNC_LIMIT, _MOST_HELD - len(request.held)))


def _granted_since(granted: str, request: SyncRequest) -> bool:
    """Whether a lease was granted by this sync or a later one of its session: a sync that stalled may not end it."""
    session, seq = granted.split("/", 1)[1].rsplit("/", 1)
    return session == request.session and int(seq) >= request.seq


def _replica_of(chunk: Chunk, client: str, sync: str) -> Replica:
    return next(r for r in chunk.replicas if r.client == client and r.sync == sync and r.state in lifecycle.LIVE)


def _cancelled(request: SyncRequest, mine: dict[str, Chunk], intake: Intake, running: set[str]) -> list[str]:
    """Leases the client holds that are no longer its own, or whose job has ended."""
    live = {
        lease
        for chunk in mine.values()
        for lease in lifecycle.live_leases(intake.present(chunk))
        if chunk.job in running
    }
    return [lease for lease in request.held if lease not in live]


def _why_idle(want: int, given: int, jobs: Sequence[RunningJob], unfit_reason: str, client: Document) -> str:
    if unfit_reason and not given:
        return unfit_reason
    if given or want < 1:
        return ""
    if not jobs:
        return "no job is running"
    return "every remaining chunk is with other clients, or waits for a second client to check it"
