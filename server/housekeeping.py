"""The background duties, done by one process at a time under a fenced lease: `python -m server.housekeeping`.

Each duty is a compare-and-set or safe to repeat, so that a holder that was thought dead does no harm; the fence is for
the log, to tell holders apart.
"""

import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable

import structlog

from dockercomp.protocol.errors import Unavailable
from server import lifecycle
from server.lifecycle import Chunk
from server.scheduling import Scheduling
from server.settings import Settings, read
from server.stages import Stages
from server.store import Store
from server.wiring import configure_logging, open_store

_log = structlog.get_logger("housekeeping")

LEASE_S = 10.0
EVERY_S = 1.0
OPEN_RANGE_S = 30.0
"""A range whose chunks do not all exist after this long was taken by a master that died."""


class Housekeeping:
    """One round of duties; `now` is the database's time."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._scheduling = Scheduling(store)
        self._stages = Stages(store)

    def round(self, now: float) -> None:
        self._reclaim_from_silent(now)
        running = self._store.jobs.running(limit=1000)
        for job in self._store.jobs.with_open_ranges(now - OPEN_RANGE_S):
            made = self._scheduling.reissue(job)
            _log.warning("open range issued again", job=job["_id"], chunks=made)
        for job in running:
            if self._stages.advance(job):
                _log.info("job moved on", job=job["_id"], stage=job["stage"])
                continue
            if job["counters"].get("failed"):
                self._change(self._store.chunks.stuck(job["_id"]), lifecycle.forgive)
        for ended in self._store.jobs.unswept():
            self._store.chunks.cancel_open(ended)
            self._store.jobs.set_swept(ended)

    def _reclaim_from_silent(self, now: float) -> None:
        """A silent client's chunks go to others."""
        before = now - self._settings.silent_after_s
        for client in self._store.clients.newly_silent(before):
            self._scheduling.take_back(client)
            self._store.clients.set_silent(client, before)
            _log.info("client is silent", client=client)
        retired = self._store.clients.retire(now - self._settings.retire_after_s)
        if retired:
            _log.info("clients retired", count=retired)

    def _change(self, chunks: list[Chunk], rule: Callable[[Chunk], Chunk]) -> None:
        changes = [(chunk, after) for chunk in chunks if (after := rule(chunk)) is not chunk]
        self._store.chunks.compare_and_set(changes, secrets.token_hex(8))


def run(store: Store, settings: Settings, stop: threading.Event) -> None:
    """Hold the duty and do its rounds until `stop`. A store that cannot be reached is waited for."""
    holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    housekeeping = Housekeeping(store, settings)
    fence = None
    while not stop.is_set():
        try:
            held = store.duties.hold("housekeeping", holder, LEASE_S)
            if held is not None:
                if held["fence"] != fence:
                    fence = held["fence"]
                    _log.info("holding the duty", fence=fence)
                housekeeping.round(held["now"])
        except Unavailable as error:
            _log.warning("the store cannot be reached", error=str(error))
        except Exception:
            _log.exception("a round failed")  # one bad document must not stop the duties for all others
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
