"""How long a lease lasts whose client's containers stood still meanwhile. Pure, no I/O. Times in seconds.

A pause, the admin's or the volunteer's own, is no fault of the chunk's: the time it took is added to the lease, up to
a week after it was granted. That the client goes on calling is another matter: a silent one loses its leases at once.
"""

from collections.abc import Iterable, Mapping

LONGEST_S = 7 * 86_400.0
"""Longest life of a lease from its grant that pauses may give it."""


def stood_still(spans: Iterable[Mapping[str, float]], since: float, until: float) -> float:
    """How many of the seconds from `since` to `until` fall within these spans, which do not overlap."""
    return sum(max(0.0, min(span["stop"], until) - max(span["start"], since)) for span in spans)


def extended(deadline: float, granted: float, spans: Iterable[Mapping[str, float]], now: float) -> float:
    """When a lease ends that was granted until `deadline`; never before that."""
    longer = deadline + stood_still(spans, granted, now)
    return max(deadline, min(longer, granted + LONGEST_S))
