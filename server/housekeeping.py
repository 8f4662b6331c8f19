"""The background duties, done by one process at a time under a fenced lease: `python -m server.housekeeping`.

Each duty is a compare-and-set or safe to repeat, so that a holder that was thought dead does no harm; the fence is for
the log, to tell holders apart.
"""

import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Sequence

import structlog

from dockercomp.protocol.errors import Unavailable
from server import lifecycle, pausing
from server.allocating import Allocating
from server.beside import Beside
from server.closing import Closing
from server.grouping import Grouping
from server.holding_back import HoldingBack
from server.jobs import InputsOfJobs
from server.learning import Learning
from server.lifecycle import Chunk, Grantee
from server.lookback import LookBack
from server.measuring import Measuring
from server.notifying import Notifying
from server.receipts import Receipts, edition_of
from server.redoing import Redoing
from server.reopening import Reopening
from server.running import RunningJob, able_of, running_job
from server.sampling import Sampling
from server.scheduling import Scheduling, grantee
from server.settings import Settings, read, read_secrets
from server.sources import Sources
from server.stages import Stages
from server.stating import Stating
from server.store import Store
from server.store.connection import Document
from server.tidying import Tidying
from server.trial import Trial
from server.verification import Verification
from server.wiring import configure_logging, open_store

_log = structlog.get_logger("housekeeping")

LEASE_S = 10.0
EVERY_S = 1.0
_MOST_JOBS = 1000
OPEN_RANGE_S = 30.0
"""A range whose chunks do not all exist after this long was taken by a master that died."""


SWEEP_S = 30.0
NOTICES_EVERY_S = 5.0
RECEIPT_AGAIN_S = 30.0


class Housekeeping:
    """The duties. One that fails is logged and leaves the others alone."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._scheduling = Scheduling(store)
        self._verification = Verification(store)
        self._trial = Trial(store)
        sources = Sources(store, private_urls=settings.private_urls)
        self._stages = Stages(store, sources)
        self._reopening = Reopening(store)
        self._look_back, self._redoing = LookBack(store), Redoing(store, self._stages)
        self._closing, self._bounds = Closing(store, settings.independent), Stating(store)
        self._measuring = Measuring(store, settings.silent_after_s)
        self._learning, self._sampling = Learning(store), Sampling(store, settings.silent_after_s)
        self._holding_back = HoldingBack(store, settings.quota)
        self._grouping = Grouping(store, Allocating(store))
        self._tidying = Tidying(store, sources, settings)
        seed = read_secrets(settings.home).signing_seed
        self._receipts, self._stating_results = Receipts(store, sources, seed, settings.url), Beside("receipts")
        self._receipts_after: dict[tuple[str, int], float] = {}
        self._notifying, self._telling = Notifying(store, settings), Beside("telling")
        self._next_notices: float | None = None
        self._inputs_of_jobs = InputsOfJobs(store, sources, private_urls=settings.private_urls)
        self._last_sweep = 0.0

    def round(self, now: float, listening_since: float = 0.0) -> None:
        """Do what is due at `now`, the database's time. Clients are judged silent only once the masters have listened
        for that long themselves: after an outage of theirs, everybody was silent. Raises Unavailable."""
        if now - listening_since >= self._settings.silent_after_s:
            self._try("reclaim from silent clients", self._reclaim_from_silent, now)
        running = self._store.jobs.running(limit=_MOST_JOBS)
        for job in self._store.jobs.with_open_ranges(now - OPEN_RANGE_S):
            self._try("issue an open range again", self._reissue, job, now - OPEN_RANGE_S)
        self._try("look back at what wrong clients did", self._look_back.round, running)
        self._try("run anew what read a changed result", self._redoing.round, running)
        self._try("give up closing checks", self._closing.give_up, running, now, self._settings.silent_after_s)
        for job in running:
            self._try("move a job on", self._move_on, job, now)
            self._try("judge a job on trial", self._trial.look_at, running_job(job))
        for job in running:
            if job.get("waits_for"):
                self._try("begin a job that waited for others", self._resolve, job)
            elif job.get("reopening"):
                self._try("open the chunks of a job that runs again", self._reopening.open, job["_id"])
            elif job.get("reuse"):
                self._try("take over earlier results", self._inputs_of_jobs.reuse.take_over, job)
        self._try("measure", self._measuring.measure, running, now)
        self._try("note how jobs speed up", self._learning.note)
        self._try("sample how busy clients are", self._sampling.round, now)
        self._try("state how wrong results may be", self._bounds.note, running, now)
        self._try("hold back who is at a quota", self._holding_back.round, running)
        self._try("tidy up", self._tidying.round, now)
        self._try("make receipts", self._make_receipts, now)
        if self._next_notices is not None and now >= self._next_notices:
            self._telling.start(self._notifying.round, now)
        if self._next_notices is None or now >= self._next_notices:
            self._next_notices = now + NOTICES_EVERY_S
        for ended in self._store.jobs.unswept():
            self._try("cancel what is open of an ended job", self._cancel_open, ended)
        if now - self._last_sweep >= SWEEP_S:
            self._last_sweep = now
            self._try("sweep overdue leases", self._sweep, [job["_id"] for job in running], now)
            self._try("sum up what owners' clients did", self._store.clients.sum_up_owners)
            self._try("give members what their group gives", self._grouping.settle_unsettled)

    def _try(self, duty: str, act: Callable[..., object], *arguments: object) -> None:
        try:
            act(*arguments)
        except Unavailable:
            raise
        except Exception:  # one bad document must not stop the duties for all others
            _log.exception("a duty failed", duty=duty)

    def _reclaim_from_silent(self, now: float) -> None:
        """A silent client's chunks go to others."""
        before = now - self._settings.silent_after_s
        for client in self._store.clients.newly_silent(before):
            self._count_late(self._scheduling.take_back(client))
            self._store.clients.set_silent(client, before)
            _log.info("client is silent", client=client)
        retired = self._store.clients.retire(now - self._settings.retire_after_s)
        if retired:
            _log.info("clients retired", count=retired)

    def _reissue(self, job: Document, older_than: float) -> None:
        made = self._scheduling.reissue(job, older_than)
        _log.warning("open range issued again", job=job["_id"], chunks=made)

    def _move_on(self, job: Document, now: float) -> None:
        if job.get("reused"):
            self._scheduling.pass_over_reused(running_job(job))
        if self._stages.advance(job):
            _log.info("job moved on", job=job["_id"])
        elif blamed := self._store.chunks.blamed(job["_id"]):
            pool = self._store.clients.alive_since(now - self._settings.silent_after_s)
            seekers = self._seekers(running_job(job), pool)
            self._change(blamed, lambda chunk: lifecycle.forgive(chunk, _who_may(chunk, seekers)))
        if running_job(job).spec.verify.same_cpu:
            self._free_classes(job, now)

    def _seekers(self, job: RunningJob, pool: list[Document]) -> list[Grantee]:
        """Those of the pool that can run the job."""
        return [grantee(client, job.spec, self._settings.independent) for client in able_of(job, pool)]

    def _free_classes(self, job: Document, now: float) -> None:
        """Where no other machine of a chunk's class is there any more, another class may compute it."""
        waiting = self._store.chunks.with_class(job["_id"])
        pool = self._store.clients.alive_since(now - self._settings.silent_after_s) if waiting else []
        kinds = [(client["_id"], client["machine"]["cpu_kind"]) for client in able_of(running_job(job), pool)]
        self._change(waiting, lambda chunk: lifecycle.free_class(chunk, kinds))

    def _resolve(self, job: Document) -> None:
        if self._inputs_of_jobs.resolve(job):
            _log.info("a job waits no longer", job=job["_id"])

    def _make_receipts(self, now: float) -> None:
        """Of jobs that have completed since; those that take long beside the other duties. One that cannot be made is
        tried again later."""
        self._receipts_after = {result: at for result, at in self._receipts_after.items() if at > now}
        for job in self._store.jobs.without_receipt():
            result = job["_id"], edition_of(job)
            if result in self._receipts_after:
                continue
            self._receipts_after[result] = now + RECEIPT_AGAIN_S
            if self._receipts.is_quick(job):
                self._try("make a receipt", self._receipts.make, job)
            else:
                self._stating_results.start(self._receipts.make, job)

    def _cancel_open(self, job: str) -> None:
        self._store.chunks.cancel_open(job)
        self._store.clients.forget_job(job)
        if not self._store.jobs.set_swept(job):  # it was run again meanwhile: what was just cancelled is opened again
            self._store.jobs.note(job, {"reopening": True})

    def _sweep(self, jobs: list[str], now: float) -> None:
        """End leases that nobody else would: granted by a sync that outlived its client, or past their deadline."""
        gone = self._store.clients.lately_gone(now - self._settings.silent_after_s)
        paused = self._store.clients.lately_paused(now - pausing.LONGEST_S)  # their own syncs look at their leases
        overdue = self._store.chunks.with_overdue_leases(jobs, now, gone, limit=1000, paused=paused)
        self._count_late(self._change(overdue, lambda chunk: _end_overdue(chunk, now, set(gone), set(paused))))
        if overdue:
            _log.info("overdue leases ended", chunks=len(overdue))

    def _change(self, chunks: list[Chunk], rule: Callable[[Chunk], Chunk]) -> list[tuple[Chunk, Chunk]]:
        """Returns the changes that were stored."""
        changes = [(chunk, after) for chunk in chunks if (after := rule(chunk)) is not chunk]
        stored = self._store.chunks.compare_and_set(changes, secrets.token_hex(8))
        return [change for change in changes if change[0].id in stored]

    def _count_late(self, changes: Sequence[tuple[Chunk, Chunk]]) -> None:
        """Leases that ended without a word are held against their clients."""
        self._verification.count(changes, lambda _chunk, _replica: 0.0)


def _who_may(chunk: Chunk, seekers: list[Grantee]) -> list[str]:
    """Clients whose result could count beside those that the chunk has."""
    return [each.client for each in seekers if lifecycle.may_join(chunk, each)]


def _end_overdue(chunk: Chunk, now: float, gone: set[str], paused: set[str]) -> Chunk:
    for replica in chunk.replicas:
        if (replica.deadline < now and replica.client not in paused) or replica.client in gone:
            chunk = lifecycle.release(chunk, replica.lease).chunk
    return chunk


def run(store: Store, settings: Settings, stop: threading.Event) -> None:
    """Hold the duty and do its rounds until `stop`. A store that cannot be reached is waited for."""
    holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    housekeeping = Housekeeping(store, settings)
    fence = None
    listening_since = None
    while not stop.is_set():
        try:
            held = store.duties.hold("housekeeping", holder, LEASE_S)
            if held is not None:
                if held["fence"] != fence:
                    fence = held["fence"]
                    _log.info("holding the duty", fence=fence)
                listening_since = listening_since or held["now"]
                housekeeping.round(held["now"], listening_since)
        except Unavailable as error:
            listening_since = None
            _log.warning("the store cannot be reached", error=str(error))
        except Exception:
            _log.exception("a round failed")
        stop.wait(EVERY_S)
    store.duties.give_up("housekeeping", holder)


def main() -> None:
    settings = read()
    configure_logging()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with open_store(settings) as store:
        run(store, settings, stop)


if __name__ == "__main__":
    main()
