"""How long a client may wait before its next sync: pure rules, and a count of those who call.

Few clients call often, so that a change reaches them and work goes on at once; a large crowd calls seldom, so that it
costs the masters about SPREAD_SYNCS a second. Workers come up to a fifth earlier, each by chance, so that they do not
come together.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

BUSY_S, LONGEST_S = 1.0, 30.0
"""Longest pause in a small crowd, or where someone looks at the client; and in any crowd."""
SPREAD_SYNCS = 50
"""Syncs a second that a crowd with nothing to say costs all masters together."""
DRY_S, NO_JOB_S = 0.25, 0.5
"""Shortest pause of a client with nothing to do, where jobs run and where none does."""
AT_ONCE_S = 0.05
IDLE_SYNCS = 10
"""Syncs a second that clients with nothing to do may cost a process: few clients ask often, very many seldom."""
COUNTED_EVERY_S = 10.0


@dataclass(frozen=True)
class Situation:
    """What a sync's answer is given in."""

    jobs: bool
    """Some job runs."""
    watched: bool
    """Someone has a page open on which this client is."""
    idle: bool
    """It got fewer chunks than it wants, or none."""
    moved: bool
    """What it brought let further chunks begin."""
    crowd: int
    """Clients that are alive."""


def longest_s(crowd: int) -> float:
    """Longest pause in a crowd of so many."""
    return min(LONGEST_S, max(BUSY_S, crowd / SPREAD_SYNCS))


def call_again_s(now: Situation) -> float:
    if now.moved:
        return AT_ONCE_S
    longest = BUSY_S if now.watched else longest_s(now.crowd)
    shortest = DRY_S if now.jobs else NO_JOB_S
    return min(longest, max(shortest, now.crowd / IDLE_SYNCS)) if now.idle else longest


class Crowd:
    """How many clients there are. For pacing alone: it may be forgotten at any time."""

    def __init__(self) -> None:
        self._called: set[str] = set()
        self._counted: int | None = None
        self._due: float | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """As last counted; until then, those that called this process."""
        return len(self._called) if self._counted is None else self._counted

    def heard(self, client: str, now: float, count: Callable[[], int]) -> int:
        """Note that this client called at `now` (monotonic); how many clients there are. `count` asks for those that
        are alive, once in COUNTED_EVERY_S."""
        with self._lock:
            self._due = self._due if self._due is not None else now + COUNTED_EVERY_S
            if self._counted is None:
                self._called.add(client)
            due = now >= self._due
            if due:
                self._due = now + COUNTED_EVERY_S
        if due:
            self._counted = count()
            self._called.clear()
        return self.size
