"""How long a client may wait before its next sync: pure rules, and a count of those who call."""

import threading
from dataclasses import dataclass

BUSY_S, IDLE_S = 1.0, 2.0
"""Longest pause where jobs run, or someone looks at the client; and otherwise."""
DRY_S, NO_JOB_S = 0.25, 0.5
"""Shortest pause of a client with nothing to do, where jobs run and where none does."""
AT_ONCE_S = 0.05
IDLE_SYNCS = 10
"""Syncs a second that clients with nothing to do may cost a process: few clients ask often, very many seldom."""
_LATELY_S = 10.0


@dataclass(frozen=True)
class Situation:
    """What a sync's answer is given in."""

    jobs: bool
    """Some job runs."""
    watched: bool
    """Someone has this client's page open."""
    idle: bool
    """It got fewer chunks than it wants, or none."""
    moved: bool
    """What it brought let further chunks begin."""
    crowd: int
    """Clients that call this process."""


def call_again_s(now: Situation) -> float:
    if now.moved:
        return AT_ONCE_S
    longest = BUSY_S if now.jobs or now.watched else IDLE_S
    shortest = DRY_S if now.jobs else NO_JOB_S
    return min(longest, max(shortest, now.crowd / IDLE_SYNCS)) if now.idle else longest


class Crowd:
    """Counts the clients that called this process lately. For pacing alone: it may be forgotten at any time."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._counted, self._count = 0.0, 0
        self._lock = threading.Lock()

    def heard(self, client: str, now: float) -> int:
        """Note that this client called at `now` (monotonic); how many clients did lately, to a second."""
        with self._lock:
            self._heard[client] = now
            if now - self._counted >= 1.0:
                self._heard = {each: at for each, at in self._heard.items() if now - at < _LATELY_S}
                self._counted, self._count = now, len(self._heard)
            return self._count
