"""Fetches what chunks need before they run: their inputs, and their job's image and program. One loop a thread."""

import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from dockercomp.protocol.errors import Busy, DockercompError, Forbidden, NotFound, Unauthorized, Unavailable
from dockercomp.protocol.messages import INLINE_LIMIT, Failure, FailureReason, Lease, Piece, SignedOrder
from dockercomp.protocol.orders import ImagePin, JobOrder

from . import urls
from .disk import Disk, NoRoom
from .engine import EngineError, EngineUnavailable
from .jobs import Jobs
from .leases import Leases
from .ledger import Ledger, NetworkUsedUp
from .master_client import MasterClient
from .patience import GivenUp, patiently
from .programs import BadProgram, Programs
from .tasks import Task
from .urls import NotRead, Reach

log = logging.getLogger(__name__)
T = TypeVar("T")

FETCHERS = 2
_TRY_AGAIN_S = 600.0
"""Seconds for which a job is refused whose image or program could not be had."""
_FLOWS_AGAIN_S = 60.0
"""The same where the network's volume had no room: others' transfers may have held it."""


class Images(Protocol):
    """Where images come from; raises EngineError where one cannot be had."""

    def ensure(self, pin: ImagePin, fetch: Callable[[], Iterator[bytes]]) -> str: ...


class Inputs:
    """Leases and orders go in; ready tasks and prepared jobs come out in Leases and Jobs."""

    def __init__(
        self,
        master: MasterClient,
        leases: Leases,
        jobs: Jobs,
        images: Images,
        home: Path,
        disk: Disk,
        ledger: Ledger,
        reach: Reach = "public",
    ) -> None:
        self._disk, self._ledger = disk, ledger
        self._reach = reach
        self._master, self._leases, self._jobs, self._images = master, leases, jobs, images
        self._spool = home / "worker" / "spool"
        self._programs = Programs(home / "worker" / "programs")
        self._fetches: queue.SimpleQueue[Lease | None] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[JobOrder | None] = queue.SimpleQueue()
        self._stop = threading.Event()

    def start(self) -> None:
        for number in range(FETCHERS):
            threading.Thread(target=self._fetch_loop, name=f"fetch-{number + 1}", daemon=True).start()
        threading.Thread(target=self._prepare_loop, name="prepare", daemon=True).start()

    def stop(self) -> None:
        """End the loops soon; a transfer under way is left behind in its daemon thread."""
        self._stop.set()
        self._orders.put(None)
        for _ in range(FETCHERS):
            self._fetches.put(None)

    def prepare(self, order: JobOrder, signed: SignedOrder | None = None) -> None:
        """Get the job's program and image; its chunks run once both are here."""
        self._jobs.add(order, signed)
        self._orders.put(order)

    def fetch(self, lease: Lease) -> None:
        """Make a held lease ready to run, at once where its input rode along."""
        task = riding_along(lease)
        if task is None:
            self._fetches.put(lease)
        else:
            self._leases.ready(task)

    def forget(self, jobs: list[str]) -> None:
        """These jobs ended: their programs go."""
        for digest in self._jobs.close(jobs):
            self._programs.remove(digest)

    # --- inputs ---

    def _fetch_loop(self) -> None:
        while (lease := self._fetches.get()) is not None and not self._stop.is_set():
            try:
                self._fetch(lease)
            except GivenUp:
                pass
            except Exception as error:
                log.exception("lease %s: getting its input failed in the worker itself", lease.id)
                self._leases.failed(lease.id, Failure(reason="input", message=f"The worker failed: {error}"))

    def _fetch(self, lease: Lease) -> None:
        if not self._leases.holds(lease.id):
            return
        place = self._spool / f"{hashlib.sha256(lease.id.encode()).hexdigest()[:32]}.in"
        try:
            task = self._patiently(lambda: self._download(lease, place), lambda: self._leases.holds(lease.id))
        except (NotFound, Unauthorized, Forbidden):
            self._leases.returned(lease.id)
        except (NoRoom, NetworkUsedUp) as error:
            self._beyond(lease.job, error)
        except NotRead as error:
            self._give_up(lease.job, Failure(reason="input", message=f"The input could not be fetched: {error}"))
        except (DockercompError, OSError) as error:
            log.warning("lease %s: its input cannot be had: %s", lease.id, error)
            failure = Failure(reason="input", message=f"The input could not be fetched: {error}")
            self._leases.failed(lease.id, failure)
        else:
            if self._leases.ready(task):
                return
        place.unlink(missing_ok=True)

    def _download(self, lease: Lease, place: Path) -> Task:
        pieces = lease.pieces
        if pieces is None and lease.has_pieces:
            pieces = self._master.pieces(lease.id)
        if lease.fetch is not None:

            def wait(pause: float) -> bool:
                return not self._stop.wait(pause) and self._leases.holds(lease.id)

            parts = self._ledger.counted(urls.parts(lease.fetch, self._reach, wait))
        elif lease.input is not None:
            return _task(lease, lease.input, pieces)
        else:
            parts = self._master.input_parts(lease.id)
        self._disk.check(lease.input_size)
        return _task(lease, _received(self._disk.metered(self._ledger.metered(parts), place), place), pieces)

    def _beyond(self, job: str, error: Exception) -> None:
        """What the job needs is more than the volunteer's ceilings leave: nobody's fault, others may run it."""
        log.warning("job %s: %s", job, error)
        self._jobs.refuse(job, str(error), _TRY_AGAIN_S if isinstance(error, NoRoom) else _FLOWS_AGAIN_S)
        self._leases.return_waiting([job])

    # --- images and programs ---

    def _prepare_loop(self) -> None:
        while (order := self._orders.get()) is not None and not self._stop.is_set():
            try:
                self._prepare(order)
            except GivenUp:
                pass
            except Exception as error:
                log.exception("job %s: preparing it failed in the worker itself", order.job)
                self._give_up(order.job, Failure(reason="engine", message=f"The worker failed: {error}"))

    def _prepare(self, order: JobOrder) -> None:
        job = order.job
        reason: FailureReason = "input"

        def wanted() -> bool:
            return self._jobs.get(job) is not None

        def program() -> Path:
            with self._disk.claim() as claim:
                parts = claim.held(self._ledger.metered(self._master.program_parts(job)))
                return self._programs.ensure(order.program, parts, claim.grow)

        def image() -> str:
            return self._images.ensure(order.image, lambda: self._ledger.metered(self._master.image_parts(job)))

        try:
            folder = self._patiently(program, wanted) if order.program else None
            reason = "image"
            image_id = self._patiently(image, wanted)
        except (NoRoom, NetworkUsedUp) as error:
            self._beyond(job, error)
        except (DockercompError, EngineError, BadProgram, OSError) as error:
            what = "image" if reason == "image" else "program"
            self._give_up(job, Failure(reason=reason, message=f"The job's {what} could not be had: {error}"))
        else:
            self._jobs.prepared(job, image_id, folder)
            self._leases.wake()
            log.info("job %s: ready, image %s", job, order.image.name)

    def _give_up(self, job: str, failure: Failure) -> None:
        """One chunk tells why, the others go to workers that fare better."""
        log.error("job %s: %s", job, failure.message)
        self._jobs.refuse(job, failure.message, _TRY_AGAIN_S)
        for lease in self._leases.waiting([job])[:1]:
            self._leases.failed(lease, failure)
        self._leases.return_waiting([job])

    def _patiently(self, action: Callable[[], T], wanted: Callable[[], bool]) -> T:
        """`action`, again while the master or the engine cannot be reached and it is still wanted."""

        def go_on(pause: float, problem: Exception) -> bool:
            log.warning("waiting %g s: %s", pause, problem)
            return not self._stop.wait(pause) and wanted()

        return patiently(action, (Unavailable, Busy, EngineUnavailable), go_on)


def riding_along(lease: Lease) -> Task | None:
    """The task of a lease that carries all it needs; None where something must be fetched."""
    if lease.fetch is not None or lease.input is None or (lease.has_pieces and lease.pieces is None):
        return None
    return _task(lease, lease.input, lease.pieces)


def _received(parts: Iterator[bytes], place: Path) -> bytes | Path:
    """All of `parts`: small ones in memory, others in the file `place`."""
    first = next(parts, b"")
    second = next(parts, None)
    if second is None and len(first) <= INLINE_LIMIT:
        return first
    with place.open("wb") as file:
        file.write(first)
        file.write(second or b"")
        for part in parts:
            file.write(part)
    return place


def _task(lease: Lease, data: bytes | Path, pieces: list[Piece] | None) -> Task:
    return Task(
        lease=lease.id,
        stage=lease.stage,
        index=lease.index,
        input=data,
        pieces=None if pieces is None else tuple(pieces),
        start=lease.start,
        stop=lease.stop,
    )
