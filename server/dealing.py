"""How fast clients are at a job, and how much of what is left each may take: pure arithmetic, no I/O.

Fresh chunks are dealt by guided self-scheduling (Polychronopoulos and Kuck, 1987): nobody takes more than its part, by
measured speed, of the chunks that are left. While there are many this binds nobody; towards the end the parts shrink,
so that a slow client does not sit on chunks for which the fast ones wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pool:
    """Clients that work on a job: their `speed` together in chunks a second, unmeasured ones taken as the average."""

    speed: float
    clients: int


def speed(runs: int, seconds: float, containers: int) -> float | None:
    """Chunks a second of a client with so many containers, whose `runs` took so many seconds in all; None: unknown."""
    return containers * runs / seconds if runs > 0 and seconds > 0 else None


def pool_of(speeds: Sequence[float | None]) -> Pool:
    known = [each for each in speeds if each is not None]
    mean = sum(known) / len(known) if known else 0.0
    return Pool(sum(known) + mean * (len(speeds) - len(known)), len(speeds))


def portion(left: int, mine: float | None, pool: Pool) -> int:
    """How many of the `left` fresh chunks a client of speed `mine` may take now; at least 1."""
    if pool.clients < 2:
        return left
    share = mine / pool.speed if mine is not None and pool.speed > 0 else 1 / pool.clients
    return max(1, min(left, -int(-left * min(1.0, share) // 1)))
