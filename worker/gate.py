"""The gate through which job orders come in: what the volunteer consents to now, and the scientists met so far."""

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from dockercomp.machine.home import write_private
from dockercomp.protocol.messages import SignedOrder
from dockercomp.protocol.orders import JobOrder

from . import devices
from .admission import Refused, admit, statement_of
from .consent import Consent, Hindrances

log = logging.getLogger(__name__)

MOST_KNOWN = 10_000
"""Scientists remembered; later ones are met anew each time."""


class Gate:
    """Safe for many threads. A scientist's first key seen here is kept as theirs, in DC_HOME/worker/scientists.json."""

    def __init__(
        self,
        home: Path,
        master_keys: Callable[[], Collection[str]],
        platform: str,
        wished: Consent,
        hindrances: Callable[[Consent], Hindrances] = lambda _: (),
    ) -> None:
        """`hindrances` finds out which of the wants that are allowed cannot be bounded on this machine, and why."""
        self._path = home / "worker" / "scientists.json"
        self._master_keys, self._platform, self._hindrances = master_keys, platform, hindrances
        self._lock = threading.Lock()
        self._known = _read(self._path)
        self._wished = wished
        self.consent = self._bounded(wished)

    def renew(self, wished: Consent) -> bool:
        """Go by what the volunteer wishes now; whether that is something else than before."""
        if wished == self._wished:
            return False
        self._wished, self.consent = wished, self._bounded(wished)
        return True

    def admit(self, signed: SignedOrder) -> JobOrder:
        """The order, if it may be run here now. Raises admission.Refused."""
        with self._lock:
            order = admit(signed, self._master_keys(), self._platform, self.consent, self._known)
            missing = set(order.wants.devices).difference(devices.there())
            if missing:
                raise Refused(f"the job wants the device {min(missing)}, which this machine does not have")
            statement = statement_of(signed)
            if statement and statement.scientist not in self._known and len(self._known) < MOST_KNOWN:
                self._known[statement.scientist] = signed.scientist_key
                write_private(self._path, msgspec.json.encode(self._known))
        return order

    def objection(self, signed: SignedOrder) -> str:
        """Why an order may not be run here now; empty where it may."""
        try:
            self.admit(signed)
        except Refused as error:
            return str(error)
        return ""

    def _bounded(self, wished: Consent) -> Consent:
        found = replace(wished, hindered=self._hindrances(wished))
        for want, why in found.hindered:
            log.warning("DC_ALLOW=%s has no effect: %s", want, why)
        return found


def _read(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:
        log.warning("%s cannot be read; scientists are met anew", path)
        return {}
