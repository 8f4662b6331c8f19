"""The sync loop: one round trip brings results and states to the master, and leases and an allocation back.

A sync without an answer is repeated with the same number and the same body until it is answered, so that whatever the
master had already done is answered again and nothing is counted twice; chunks go on running meanwhile.
"""

import logging
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

import dockercomp
from dockercomp.protocol.errors import (
    BadRequest,
    DockercompError,
    Forbidden,
    ProtocolUnsupported,
    StaleSync,
    Unauthorized,
)
from dockercomp.protocol.messages import (
    LONGEST_SENTENCE,
    PROTOCOL,
    Ack,
    Allocation,
    Ceiling,
    Lease,
    Machine,
    RunningReport,
    SignedOrder,
    SyncAnswer,
    SyncRequest,
)

from .admission import Refused
from .checkpoints import Checkpoints, Claim
from .gate import Gate
from .inputs import Inputs
from .jobs import Jobs
from .keeper import Keeper
from .leases import Leases
from .live import Watched
from .master_client import MasterClient
from .master_keys import MasterKeys
from .outputs import Outputs, Parcel
from .pace import SHORTEST, ChunkTimes, Load, next_call, want
from .stint import ENDLESS, Now, Stint

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds before a sync without an answer is repeated: doubling from the first to the longest, with jitter."""
_DISK_AGAIN_S = 60.0
"""Seconds for which a job is refused whose order could not be kept, as on a full disk."""


class Fatal(RuntimeError):
    """The master will not have this worker as it is; `code` is the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Line:
    """The state of the line to the master, for the eye."""

    offline: str = ""
    """Why the last sync has no answer; empty while it has."""
    heard: float = field(default_factory=time.monotonic)
    """When the master last answered, on the monotonic clock; before it did, when this began."""
    last_sync: float | None = None
    allocation: Allocation | None = None
    why_idle: str = ""
    sent: int = 0
    master_version: str = ""
    """Of the worker that the master serves; empty: not said."""


@dataclass(frozen=True)
class Parts:
    """What the loop moves things between."""

    master: MasterClient
    leases: Leases
    jobs: Jobs
    times: ChunkTimes
    inputs: Inputs
    outputs: Outputs
    keeper: Keeper
    checkpoints: Checkpoints
    watched: Watched
    gate: Gate
    keys: MasterKeys
    stint: Stint = ENDLESS


@dataclass(frozen=True)
class _Sent:
    body: bytes
    results: list[str]
    running: list[RunningReport]
    want: int
    machine: Machine | None
    ceiling: Ceiling | None


class SyncLoop:
    def __init__(self, parts: Parts, machine: Callable[[], Machine], renew: Callable[[], bool]) -> None:
        """`renew` enrols again; False where it cannot be tried. Raises DockercompError."""
        self.line = Line()
        self.fatal: Fatal | None = None
        self._parts, self._machine, self._renew = parts, machine, renew
        self._renewed = False
        self._session, self._seq = secrets.token_hex(8), 1
        self._open: _Sent | None = None
        self._last, self._longest, self._dry = -1e9, 0.0, False
        self._urgent: float | None = None
        self._pause = FIRST_PAUSE
        self._told_machine: Machine | None = None
        self._told_ceiling: Ceiling | None = None
        self._quiet = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sync", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def resume(self, claims: Iterable[Claim]) -> None:
        """Go on with leases of an earlier start of this worker, as far as the master lets it. Before `start`."""
        for claim in claims:
            if self._parts.jobs.get(claim.lease.job) is None:
                self._orders([claim.order])
            lease = msgspec.structs.replace(claim.lease, deadline_s=claim.until - time.time())
            if self._parts.jobs.get(lease.job) and self._parts.leases.add(lease):
                log.info("lease %s: goes on from its checkpoint", lease.id)
                self._parts.inputs.fetch(lease)

    def hasten(self) -> None:
        """Something is worth telling the master soon."""
        self._urgent = self._urgent or time.monotonic()
        self._parts.leases.wake()

    def quiesce(self) -> None:
        """Ask for no more chunks, and give back those that still come; results are brought as before."""
        self._quiet = True

    def stop(self, timeout: float) -> None:
        """End the loop after the sync under way."""
        self._stop.set()
        self._parts.leases.wake()
        self._thread.join(timeout)

    def leave(self, budget: float) -> bool:
        """The last syncs, after `stop`: everything held goes back with its results. True if the master heard it all.

        `budget` is in seconds.
        """
        ends = time.monotonic() + budget
        while time.monotonic() < ends:
            try:
                uploads = self._exchange(leaving=self._open is None)
            except DockercompError as error:
                log.warning("the last sync has no answer: %s", error)
                time.sleep(min(FIRST_PAUSE, max(0.0, ends - time.monotonic())))
                continue
            for parcel in uploads:
                self._parts.outputs.upload_now(parcel)
            if not self._parts.leases.post().results:
                return True
        return False

    # --- the loop ---

    def _loop(self) -> None:
        while not self._stop.is_set() and self.fatal is None:
            try:
                self._wait()
                if not self._stop.is_set():
                    self._once()
            except Fatal as error:
                self.fatal = error
            except Exception:
                log.exception("a sync failed in the worker itself; trying again")
                self._stop.wait(LONGEST_PAUSE)

    def _wait(self) -> None:
        """Until the next sync is due."""
        self._stop.wait(max(0.0, self._last + SHORTEST - time.monotonic()))
        leases = self._parts.leases
        with leases.changed:
            while not self._stop.is_set():
                due = next_call(
                    self._last, self._longest, self._load(), leases.post(), dry=self._dry, urgent=self._urgent
                )
                left = due - time.monotonic()
                if left <= 0:
                    return
                leases.changed.wait(left)

    def _once(self) -> None:
        try:
            for parcel in self._exchange_known():
                self._parts.outputs.upload(parcel)
        except (Unauthorized, Forbidden) as error:
            raise Fatal(
                77,
                f"{self._parts.master.url} does not accept this worker's credentials any more ({error}). If it was"
                " retired or its master was set up anew, give it a new enrolment token as DC_TOKEN.",
            ) from error
        except StaleSync as error:
            raise Fatal(
                77, f"another daemon uses this worker's identity: {error}. Enrol each machine on its own."
            ) from error
        except ProtocolUnsupported as error:
            raise Fatal(76, f"{error}. Install the worker again from {self._parts.master.url}/installer.sh.") from error
        except DockercompError as error:
            if isinstance(error, BadRequest):
                self._open = None
            self._lost(error)

    def _lost(self, error: DockercompError) -> None:
        if not self.line.offline:
            log.warning("the master does not answer, chunks go on: %s", error)
        self.line.offline = str(error)
        self._stop.wait(error.retry_after or self._pause * random.uniform(0.7, 1.3))  # noqa: S311  (jitter)
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    # --- one exchange ---

    def _exchange_known(self) -> list[Parcel]:
        """An exchange; once per start, a client that its master has retired enrols again for it."""
        try:
            return self._exchange()
        except Unauthorized as error:
            if self._renewed or not self._renew():
                raise
            log.warning("the master did not know this worker any more (%s): it enrolled again", error)
            self._renewed = True
            return self._exchange()

    def _exchange(self, *, leaving: bool = False) -> list[Parcel]:
        """Ask, or repeat what was asked, and act on the answer; the results to upload. Raises DockercompError."""
        sent = self._open = self._open or self._request(leaving)
        self._last = time.monotonic()
        answer = self._parts.master.sync(sent.body)
        self._open = None
        self._seq += 1
        if self.line.offline:
            log.info("the master answers again")
        self._pause = FIRST_PAUSE
        self._told_machine, self._told_ceiling = sent.machine or self._told_machine, sent.ceiling or self._told_ceiling
        self.line.offline, self.line.last_sync, self.line.heard = "", time.time(), time.monotonic()
        return self._act(sent, answer)

    def _request(self, leaving: bool) -> _Sent:
        parts, picture = self._parts, self._parts.keeper.picture
        self._urgent = None
        parts.leases.return_overdue()
        machine, results, running = self._machine(), parts.leases.parcels(), parts.watched.reports()
        request = SyncRequest(
            protocol=PROTOCOL,
            session=self._session,
            seq=self._seq,
            held=parts.leases.ids({report.lease for report in results}),
            results=results,
            running=running,
            want=0 if self._quiet else want(self._load()),
            known_jobs=parts.jobs.known(),
            refused_jobs=parts.jobs.refused(),
            containers=list(picture.containers),
            applied=picture.applied,
            machine=machine if machine != self._told_machine else None,
            ceiling=picture.ceiling if picture.ceiling != self._told_ceiling else None,
            load=os.getloadavg()[0],
            status=self.sentence()[:LONGEST_SENTENCE],
            problems=self.problems(),
            leaving=leaving,
        )
        body = msgspec.json.encode(request)
        reported = [report.lease for report in results]
        return _Sent(body, reported, running, request.want, request.machine, request.ceiling)

    def _act(self, sent: _Sent, answer: SyncAnswer) -> list[Parcel]:
        parts = self._parts
        self._longest = answer.call_again_s * random.uniform(0.8, 1.0)  # noqa: S311  (jitter)
        self._dry = len(answer.leases) < sent.want
        self.line.why_idle, self.line.allocation = answer.why_idle, answer.allocation
        self.line.master_version = answer.worker_version
        uploads = self._acknowledged(sent, answer.acks)
        parts.watched.told(sent.running)
        self._orders(answer.orders)
        closed = answer.closed_jobs
        parts.inputs.forget(closed)
        parts.checkpoints.drop_jobs(closed)
        parts.checkpoints.disown(answer.cancelled)
        for job in closed:
            parts.times.forget(job)
        running = parts.leases.cancel([*answer.cancelled, *parts.leases.leases_of(closed)])
        if running:
            parts.keeper.cancel(running)
        for lease in answer.leases:
            self._lease(lease)
        parts.keeper.learned(answer.points)
        parts.keeper.want(answer.allocation)
        parts.leases.wake()
        return uploads

    def _acknowledged(self, sent: _Sent, acks: list[Ack]) -> list[Parcel]:
        for ack in acks:
            if ack.status == "rejected":
                log.warning("lease %s: the master rejected its result: %s", ack.lease, ack.reason)
        self.line.sent += sum(ack.status == "stored" for ack in acks)
        return self._parts.leases.acknowledge(sent.results, acks)

    def _orders(self, orders: list[SignedOrder]) -> None:
        for signed in orders:
            try:
                self._parts.keys.meet(signed.key)
                order = self._parts.gate.admit(signed)
                self._parts.inputs.prepare(order, signed)
            except Refused as error:
                log.error("job %s: refused: %s", signed.job, error)
                self._parts.jobs.refuse(signed.job, str(error))
            except OSError as error:
                log.error("job %s: its order could not be kept: %s", signed.job, error)
                why = f"its order could not be kept on this machine's disk: {error}"
                self._parts.jobs.refuse(signed.job, why, _DISK_AGAIN_S)

    def _lease(self, lease: Lease) -> None:
        """Hold the lease, or give it straight back where its job is not run here."""
        parts = self._parts
        if self._quiet or parts.jobs.get(lease.job) is None:
            parts.leases.post_unheld(lease.id, None)  # why is told by refused_jobs: it is nobody's fault
        elif parts.leases.add(lease):
            parts.inputs.fetch(lease)

    # --- looking ---

    def _load(self) -> Load:
        leases = self._parts.leases
        waiting, running = leases.counts()
        return Load(
            slots=self._parts.keeper.picture.able,
            waiting=waiting,
            running=running,
            chunk_s=self._parts.times.expect(leases.jobs() or self._parts.jobs.known()),
            input_bytes=leases.input_bytes(),
            most=self._parts.stint.room(self.now()),
        )

    def now(self) -> Now:
        """What the worker's stint is judged by."""
        leases, times = self._parts.leases, self._parts.times
        waiting, running = leases.counts()
        return Now(leases.done, waiting, running, [times.expect([job]) for job in self._parts.jobs.known()])

    def problems(self) -> list[str]:
        """What is wrong on this side and how to mend it, a sentence each."""
        served, own = self.line.master_version, dockercomp.__version__
        old = (
            f"This worker is version {own}, its master serves {served}: it works on, and is never updated unasked; to"
            f" update it, run the installer again (curl -fsS {self._parts.master.url}/installer.sh | sh)."
        )
        return [*self._parts.keeper.picture.problems, *([old] if served and served != own else [])]

    def sentence(self) -> str:
        """What this worker is doing, or why it is idle."""
        picture, (waiting, running) = self._parts.keeper.picture, self._parts.leases.counts()
        if picture.paused:
            doing = picture.paused
        elif running:
            doing = f"Running {running} chunks, {waiting} more at hand."
        elif waiting:
            doing = f"Getting what {waiting} chunks need."
        else:
            doing = f"Idle: {self.line.why_idle}" if self.line.why_idle else "Idle: nothing to do."
        return f"{doing} {picture.trouble}".strip()
