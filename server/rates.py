"""How often who may do what: fixed windows, counted in the store so that they hold across all processes.

The one exception is the sync, which costs no round trip more: each process counts its own.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar, Literal

from limits.storage import Storage

from dockercomp.protocol.errors import Busy
from server.store import Store
from server.store.rates import Rates

By = Literal["address", "caller"]


@dataclass(frozen=True)
class Rate:
    """At most `most` in `window_s` seconds, from each address block or from each caller (person or client)."""

    most: int
    window_s: int
    by: By
    what: str
    """As people call it, in the plural."""


RATES: Mapping[str, Rate] = {
    "enrol": Rate(240, 60, "address", "enrolments"),
    "submit": Rate(240, 60, "caller", "submissions"),
    "job_forecast": Rate(240, 60, "caller", "forecasts"),
    "job_retry": Rate(60, 60, "caller", "retries"),
    "explain": Rate(600, 60, "caller", "explanations"),
    "image_register": Rate(60, 60, "caller", "registrations of images"),
    "image_pull": Rate(30, 60, "caller", "pulls of images"),
    "blob_put": Rate(6000, 60, "caller", "parts of uploads"),
    "enrolment_token": Rate(120, 60, "caller", "enrolment tokens"),
    "login_link": Rate(60, 60, "caller", "login links"),
}
"""By route. Routes without an entry are bound by their cost: they read a page, or one thing."""


class Limits:
    """Counts what comes in by route. Raises Busy, before anything else of the request is done."""

    def __init__(self, store: Store) -> None:
        self._rates = store.rates

    def count(self, route: str, address: str, caller: str) -> None:
        """Count one call of `route`; one round trip where it has a rate, else none."""
        rate = RATES.get(route)
        if rate is None:
            return
        who = block_of(address) if rate.by == "address" or not caller else caller
        count, left = self._rates.hit(f"{route}/{who}", rate.window_s)
        if count > rate.most:
            whose = "address" if rate.by == "address" else "caller"
            raise Busy(
                f"more than {rate.most} {rate.what} in {rate.window_s} s from one {whose}; nothing was done, come again"
                f" in {math.ceil(left)} s",
                retry_after=math.ceil(left),
            )


def block_of(address: str) -> str:
    """What one machine or site has to itself: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))


class Pace:
    """Bounds how often each client syncs at this process, at no round trip: a bucket a secret, the oldest forgotten.

    Workers sync when there is something to tell, tens of times a second at most; only one that runs wild empties its
    bucket. The key holds the secret's hash, so that nobody who knows just a client's id can empty it for others.
    """

    PER_S = 50.0
    AT_ONCE = 200.0
    _MOST = 50_000

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, client: str, secret_hash: str, now: float) -> None:
        """Count one sync at `now` seconds of a clock that only goes forward. Raises Busy."""
        key = f"{client}.{secret_hash}"
        with self._lock:
            level, at = self._buckets.pop(key, (self.AT_ONCE, now))
            level = min(self.AT_ONCE, level + (now - at) * self.PER_S)
            self._buckets[key] = (max(0.0, level - 1.0), now)
            if len(self._buckets) > self._MOST:
                self._buckets.popitem(last=False)
        if level < 1.0:
            raise Busy(f"more than {self.PER_S:.0f} syncs a second: come again as the last answer said", retry_after=1)


class StoreStorage(Storage):
    """Our store as Flask-Limiter's, for the dashboard's forms. Its own one for MongoDB opens a connection of its own,
    and opens it once more while the process ends."""

    STORAGE_SCHEME: ClassVar[list[str]] = ["store"]  # type: ignore[misc]

    def __init__(self, uri: str | None = None, *, rates: Rates, **options: Any) -> None:
        super().__init__(uri, **options)
        self._rates = rates

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._rates.hit(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        return self._rates.look(key)[0]

    def get_expiry(self, key: str) -> float:
        return self._rates.look(key)[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        """Only tests of the library itself ask for it."""
        raise NotImplementedError

    def clear(self, key: str) -> None:
        self._rates.forget(key)
