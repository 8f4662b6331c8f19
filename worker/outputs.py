"""Uploads results that are too large for a sync, when the master asks for them. One loop."""

import contextlib
import io
import logging
import queue
import threading
from functools import partial
from pathlib import Path

from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.messages import ResultReport

from .leases import Leases
from .master_client import MasterClient
from .patience import GivenUp, patiently

log = logging.getLogger(__name__)

Parcel = tuple[ResultReport, bytes | Path]


class Outputs:
    def __init__(self, master: MasterClient, leases: Leases) -> None:
        self._master, self._leases = master, leases
        self._parcels: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self.brought = 0
        """Bytes that the master has got; more of them show that an upload goes on."""

    def start(self) -> None:
        threading.Thread(target=self._loop, name="upload", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        self._parcels.put(None)

    def upload(self, parcel: Parcel) -> None:
        """Bring the payload to the master, then let the result be reported again."""
        self._parcels.put(parcel)

    def upload_now(self, parcel: Parcel) -> None:
        """The same at once, in the caller's thread. Raises DockercompError, OSError."""
        report, payload = parcel
        with payload.open("rb") if isinstance(payload, Path) else io.BytesIO(payload) as file:
            self._master.upload(report.digest, report.size, file, self._told)
        self._leases.uploaded(report.lease)

    def _told(self, size: int) -> None:
        self.brought += size

    def _loop(self) -> None:
        while (parcel := self._parcels.get()) is not None and not self._stop.is_set():
            with contextlib.suppress(GivenUp):
                patiently(
                    partial(self._bring, parcel), (DockercompError, OSError), partial(self._wait, parcel[0].lease)
                )

    def _bring(self, parcel: Parcel) -> None:
        try:
            self.upload_now(parcel)
        except FileNotFoundError as error:
            self._leases.lost(parcel[0].lease, f"The result was lost on the volunteer's disk: {error}")

    def _wait(self, lease: str, pause: float, problem: Exception) -> bool:
        log.warning("lease %s: its result is not uploaded yet (%s); again in %g s", lease, problem, pause)
        return not self._stop.wait(pause) and self._leases.posts(lease)
