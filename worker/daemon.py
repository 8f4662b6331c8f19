"""The worker daemon: all the wiring, its start and its end."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dockercomp
from dockercomp.machine import docker_host
from dockercomp.machine.docker_host import NoEngineError
from dockercomp.machine.home import HomeInUseError, instance_label, lock
from dockercomp.machine.removal import MARKER
from dockercomp.protocol.errors import DockercompError, Forbidden, Unauthorized
from dockercomp.protocol.messages import Ceiling, Machine

from . import consent, devices, identity, limits, logs, processor, status
from .access import access_of
from .checkpoints import Checkpoints
from .container import WarmContainer
from .disk import Disk
from .division import Division
from .engine import Engine, EngineError, EngineUnavailable
from .gate import Gate
from .hook import Hook
from .house import House
from .identity import Identity, NotEnrolled, WrongMaster
from .images import ImageStore
from .inputs import Inputs
from .jobs import Job, Jobs
from .keeper import Keeper
from .leases import Leases
from .ledger import Ledger
from .leftovers import Leftovers
from .lending import Lending
from .master_client import MasterClient
from .master_keys import MasterKeys, is_pinned
from .neighbours import Neighbours
from .outbound import Outbound
from .outputs import Outputs
from .pace import ChunkTimes
from .patience import GivenUp, patiently
from .pinning import Pins
from .registry import Registries
from .settings import Settings
from .slots import Container, Floor
from .stint import ENDLESS, Standstill, Stint
from .surroundings import Lookout
from .sync_loop import Fatal, Parts, SyncLoop
from .tasks import EngineFacts, Size
from .volunteer import Volunteer

log = logging.getLogger(__name__)

EXIT_ERROR, EXIT_TEMPORARY, EXIT_PROTOCOL, EXIT_REFUSED, EXIT_CONFIGURATION = 1, 75, 76, 77, 78
"""Exit codes besides 0; 76, 77 and 78 need a person, so starting again is of no use. 75: a stint without its master."""

GRACE = 10.0
"""Seconds that running chunks get to end when the daemon is asked to stop."""
_LAST_SYNC = 8.0
"""Seconds for the last syncs."""
_STATUS_EVERY = 0.5
"""Seconds between two writes of the status file."""


@dataclass
class Stop:
    """Set by SIGTERM or SIGINT; a second one sets `hurry`."""

    asked: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)

    def on_signal(self, *_: object) -> None:
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()


MakeContainer = Callable[[Job, int, Size], Container]


def run(settings: Settings, grace: float = GRACE, stint: Stint = ENDLESS) -> int:
    """Run until told to stop, or until the stint is over; the exit code. Holds DC_HOME's lock meanwhile."""
    stop, fresh = Stop(), _is_fresh(settings.home)
    try:
        held = lock(settings.home, "worker")
    except HomeInUseError as error:
        logging.basicConfig(format="%(message)s")
        log.error("%s", error)
        return EXIT_ERROR
    with held:
        logs.start(settings.home)
        if fresh:
            (settings.home / MARKER).write_text("Everything of one dockerComp instance. Remove it with: cleanup\n")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop.on_signal)
        try:
            return Daemon(settings, stop, grace, stint).run()
        except GivenUp as given_up:
            if stop.asked.is_set() or not stint.bounded:
                _say(settings.home, status.Status(state="stopped", sentence="Stopped.", master=settings.url))
                return 0
            log.error("gave up: %s", given_up.__cause__)
            sentence = f"Gave up within its time: {given_up.__cause__}"
            _say(settings.home, status.Status(state="stopped", sentence=sentence, master=settings.url))
            return EXIT_TEMPORARY
        except Fatal as error:
            log.error("%s", error)
            _say(settings.home, status.Status(state="stopped", sentence=str(error), master=settings.url))
            return error.code


def _is_fresh(home: Path) -> bool:
    """Whether nothing is there but what `configure` and `pause` put there before the first run."""
    return not home.exists() or {each.name for each in home.iterdir()} <= {"configuration", "worker"}


class Daemon:
    def __init__(self, settings: Settings, stop: Stop, grace: float, stint: Stint) -> None:
        self._settings, self._stop, self._grace, self._stint = settings, stop, grace, stint
        self._lending: Lending
        self._hook: Hook
        self._why_over, self._alone, self._unserved = "", False, False
        self._told: status.Status | None = None
        self._began = time.monotonic()
        self._home = settings.home
        self._disk, self._ledger = Disk(self._home), Ledger(self._home)
        self._engine: Engine
        self._leftovers: Leftovers
        self._loop: SyncLoop
        self._keeper: Keeper
        self._parts: Parts
        self._outbound: Outbound
        self._who: Identity

    def run(self) -> int:
        (self._home / "worker").mkdir(mode=0o700, parents=True, exist_ok=True)
        log.info("worker %s starts, process %d, DC_HOME %s", dockercomp.__version__, os.getpid(), self._home)
        facts = patiently(self._meet, (EngineError, NoEngineError), partial(self._wait, "Docker"))
        self._outbound = Outbound(self._engine, facts, self._ledger)
        self._lending = Lending(facts.cpus, facts.memory, Neighbours(instance_label(self._home)))
        ceiling = self._lending.ceiling(self._outbound.bounded(self._settings.wishes), 0.0)
        self._who, master = self._enrol(facts, ceiling)
        who = self._who
        log.info("client %s of %s, owner %s", who.client, master.url, who.owner)
        self._wire(facts, ceiling, who, master)
        self._parts.inputs.start()
        self._parts.outputs.start()
        self._keeper.start()
        self._tell()
        self._loop.start()
        while not self._stop.asked.wait(_STATUS_EVERY) and self._loop.fatal is None and not self._is_over():
            self._tell()
        return self._end()

    def _is_over(self) -> bool:
        """Whether the stint is, or has waited for its master, or for Docker, for too long."""
        if not self._stint.bounded:
            return False
        silent = time.monotonic() - self._loop.line.heard
        self._alone = bool(self._loop.line.offline) and silent > self._stint.patience
        self._unserved = self._engine_silent() > self._stint.patience
        if self._alone:
            self._why_over = f"The master has not answered for {silent:.0f} s."
        elif self._unserved:
            self._why_over = f"Docker has not answered for {self._engine_silent():.0f} s."
        else:
            self._why_over = self._stint.over(self._loop.now())
        return bool(self._why_over)

    def _engine_silent(self) -> float:
        """Seconds without an answer of Docker; asked once more before a stint gives up, as idle slots do not ask."""
        lost = self._engine.lost
        if lost is not None and time.monotonic() - lost > self._stint.patience:
            with contextlib.suppress(EngineError):
                self._engine.ours()
            lost = self._engine.lost
        return 0.0 if lost is None else time.monotonic() - lost

    def _wire(self, facts: EngineFacts, ceiling: Ceiling, who: Identity, master: MasterClient) -> None:
        leases, jobs, times = Leases(), Jobs(), ChunkTimes()
        jobs.fits = lambda job: self._stint.fits(times.expect([job]))
        self._hook = Hook(self._told_to_hook)
        house = House(self._disk, self._ledger, Lookout(), self._hook, self._lending)
        registries = Registries(self._settings.registry_auth, self._settings.fetch, self._ledger)
        images = ImageStore(self._engine, self._home, self._disk, registries)
        images.needed = jobs.images
        checkpoints = Checkpoints(self._home)
        keys = MasterKeys(self._home, who.master_key, master.key_chain)
        wished = self._settings.wishes.consent
        gate = Gate(self._home, keys.accepted, facts.platform, wished, self._outbound.hindrances)
        floor = Floor(leases, jobs, times, self._make, ceiling, checkpoints, gate, self._leftovers)
        self._leftovers.gone = floor.room.leave
        floor.limits_hold = facts.limits
        source = self._settings.source or self._home / "configuration"  # which `configure` makes where there is none
        volunteer = Volunteer(self._home, source, self._settings.wishes)
        division = Division(facts.cpus, Pins.of_engine(self._engine.host, facts.cpus) if facts.pins else None)
        self._keeper = Keeper(floor, volunteer, house, division, self._lending.ceiling, self._hasten)
        inputs = Inputs(master, leases, jobs, images, self._home, self._disk, self._ledger, self._settings.fetch)
        outputs = Outputs(master, leases)
        watched = floor.watched
        self._parts = Parts(
            master, leases, jobs, times, inputs, outputs, self._keeper, checkpoints, watched, gate, keys, self._stint
        )
        self._loop = SyncLoop(self._parts, lambda: self._machine(facts), lambda: self._renew(facts, ceiling, master))
        self._loop.resume(checkpoints.claims())

    def _hasten(self) -> None:
        self._loop.hasten()

    def _make(self, job: Job, slot: int, size: Size) -> Container:
        wants = job.order.wants
        network = self._outbound.ensure() if wants.network else None
        access = access_of(wants, network, devices.groups(wants.devices))
        container = WarmContainer(self._engine, job.order, job.image_id, job.program, slot, size, self._home, access)
        container.disk = self._disk
        return container

    # --- the start ---

    def _meet(self) -> EngineFacts:
        """Find the engine and clear what is left of us there. Raises EngineError, NoEngineError."""
        environ = self._settings.engine_environ(os.environ)
        self._engine = Engine(instance_label(self._home), docker_host.find(self._home, environ))
        facts = self._engine.facts()
        if self._settings.rootless and not facts.rootless:
            raise NoEngineError("the engine that answers is not rootless, and DC_ROOTLESS=yes allows no other.")
        self._clear()
        return facts

    def _clear(self) -> None:
        """Remove what an earlier daemon of this instance left behind."""
        self._leftovers = Leftovers(self._engine.remove)
        for orphan in self._engine.ours():
            log.info("removing the container %s of an earlier start", orphan)
            try:
                self._engine.remove(orphan)
            except EngineUnavailable:
                raise
            except EngineError as error:
                self._leftovers.add(orphan, orphan[:12], str(error))
        for folder in ("spool", "slots", "programs"):
            shutil.rmtree(self._home / "worker" / folder, ignore_errors=True)
        (self._home / "worker" / "spool").mkdir(mode=0o700)

    def _enrol(self, facts: EngineFacts, ceiling: Ceiling) -> tuple[Identity, MasterClient]:
        master = MasterClient(self._settings.url, count=self._ledger.count, pin=self._settings.tls_pin)

        def enrolled() -> Identity:
            try:
                return identity.ensure(
                    self._home, self._settings.token, self._machine(facts), ceiling, master.enrol, self._is_pinned
                )
            except (NotEnrolled, WrongMaster) as error:
                raise Fatal(EXIT_CONFIGURATION, str(error)) from error
            except (Unauthorized, Forbidden) as error:
                raise Fatal(
                    EXIT_CONFIGURATION, f"{master.url} does not accept the enrolment token DC_TOKEN: {error}"
                ) from error

        who = patiently(enrolled, (DockercompError,), partial(self._wait, "the master"))
        return who, master.authorised(who.client, who.secret)

    def _renew(self, facts: EngineFacts, ceiling: Ceiling, master: MasterClient) -> bool:
        """Enrol again and go on as who the master says; False without a token. Raises DockercompError."""
        found = identity.renew(self._home, self._settings.token, self._machine(facts), ceiling, master.enrol)
        if found:
            self._who = found
            master.reauthorise(found.client, found.secret)
        return found is not None

    def _is_pinned(self, key: str, kept: bool) -> bool:
        master = MasterClient(self._settings.url, count=self._ledger.count, pin=self._settings.tls_pin)
        return is_pinned(self._settings.master_key, key, master.key_chain, kept=kept)

    def _machine(self, facts: EngineFacts) -> Machine:
        free = shutil.disk_usage(self._home).free
        return Machine(
            hostname=self._settings.name or socket.gethostname(),
            cpus=facts.cpus,
            memory=facts.memory,
            disk_free=free - free % (256 * limits.MIB),
            platform=facts.platform,
            engine=facts.version,
            cgroup="v2" if facts.cgroup == "v2" else "v1" if facts.cgroup == "v1" else "",
            worker=dockercomp.__version__,
            cpu_kind=processor.cpu_kind(),
        )

    def _wait(self, what: str, pause: float, problem: Exception) -> bool:
        """Say why it waits; False when asked to stop meanwhile."""
        sentence = f"waiting for {what}: {problem}"
        log.warning("%s (again in %g s)", sentence, pause)
        _say(self._home, status.Status(state="starting", sentence=sentence, master=self._settings.url))
        if self._stint.bounded and time.monotonic() - self._began > self._stint.patience:
            return False
        return not self._stop.asked.wait(min(pause, max(0.0, self._stint.left))) and self._stint.left > 0

    # --- the end ---

    def _end(self) -> int:
        """Give everything back, remove the containers, bring every result, say good-bye."""
        fatal, offline, began = self._loop.fatal, bool(self._loop.line.offline), time.monotonic()
        grace = 0.0 if fatal or self._alone or self._unserved else min(self._grace, self._stint.to_end / 2)
        if fatal is None:
            log.info("stopping%s: running chunks get %g s", f" ({self._why_over})" if self._why_over else "", grace)
        self._loop.quiesce()
        self._parts.inputs.stop()
        self._keeper.stop(grace, self._stop.hurry)
        self._hook.end()
        self._outbound.remove()
        if fatal is None and not self._alone and not (offline and not self._stint.bounded):
            self._deliver(max(_LAST_SYNC, grace - (time.monotonic() - began)))
        self._loop.stop(0.5 if offline else _LAST_SYNC)
        self._parts.outputs.stop()
        if fatal:
            raise fatal
        heard = self._loop.leave(_LAST_SYNC if not self._stop.hurry.is_set() and not offline else 1.0)
        return self._last_word(heard)

    def _deliver(self, grace: float) -> None:
        """Go on syncing and uploading until every result is settled: for `grace` seconds once told to stop, else until
        the stint's end, or until nothing has moved for as long as its patience lasts."""
        ends = time.monotonic() + (grace if self._stop.asked.is_set() else self._stint.to_end)
        leases, outputs, standstill = self._parts.leases, self._parts.outputs, Standstill(self._stint.patience)
        self._loop.hasten()
        while (left := leases.undelivered()) and self._loop.fatal is None and time.monotonic() < ends:
            if standstill.holds((left, outputs.brought)):
                return
            if self._stop.asked.is_set():
                ends = min(ends, time.monotonic() + grace) if not self._stop.hurry.is_set() else 0.0
            with leases.changed:
                leases.changed.wait(0.2)

    def _last_word(self, heard: bool) -> int:
        """What the log and the status end with; the exit code."""
        lost = self._parts.leases.undelivered()
        why = self._why_over or "Stopped."
        if lost:
            why += f" The results of {lost} chunks could not be brought to the master, which gives them to others."
        log.info("stopped; the master %s. %s", "knows" if heard else "was not reached, it will notice", why)
        _say(self._home, status.Status(state="stopped", sentence=why, master=self._settings.url))
        return EXIT_TEMPORARY if self._stint.bounded and (lost or self._alone or self._unserved) else 0

    # --- the status ---

    def _state(self) -> str:
        return "paused" if self._keeper.picture.paused else "working" if self._parts.leases.counts()[1] else "idle"

    def _told_to_hook(self) -> dict[str, str]:
        """What the volunteer's own program gets to know, as variables."""
        return {"DC_HOME": str(self._home), "DC_STATE": self._state()}

    def _tell(self) -> None:
        """Write the status file, where it has changed."""
        leases, line, picture = self._parts.leases, self._loop.line, self._keeper.picture
        waiting, running = leases.counts()
        sentence, state = self._loop.sentence(), self._state()
        if line.offline:
            state, sentence = "offline", f"The master does not answer: {line.offline}. {sentence}"
        found = status.Status(
            state=state,
            sentence=sentence,
            pid=os.getpid(),
            version=dockercomp.__version__,
            master=self._settings.url,
            client=self._who.client,
            owner=self._who.owner,
            held=waiting + running,
            running=running,
            results_waiting=leases.post().results,
            results_sent=line.sent,
            last_sync=line.last_sync,
            ceiling=picture.ceiling,
            disk_used=self._disk.used(),
            network_used=self._ledger.used(),
            rules=picture.rules,
            consent=consent.sentences(self._parts.gate.consent),
            allocation=line.allocation,
            applied=picture.applied,
            problems=self._loop.problems(),
            containers=list(picture.containers),
        )
        if found != self._told:
            self._told = found
            _say(self._home, found)


def _say(home: Path, what: status.Status) -> None:
    try:
        status.write(home, what)
    except OSError as error:
        log.warning("the status file cannot be written: %s", error)
