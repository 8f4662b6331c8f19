"""What containers take of the volunteer's ceiling, so that together they never take more, also while they change."""

import threading

from dockercomp.protocol.messages import Ceiling

from .limits import MIB, ROUNDING
from .tasks import Size

_PAGES = 64 * 1024
"""Bytes by which sums of memory may be off: limits are divided and rounded."""


class NoRoomYet(RuntimeError):
    """Others still hold what it would take; worth trying again when one of them has changed."""


class Room:
    """Safe for many threads. Keys are the slots' numbers, or the ids of containers that could not be removed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[int | str, Size] = {}

    def take(
        self, key: int | str, size: Size, most: Ceiling, *, share_cpus: bool = False, instead: bool = False
    ) -> None:
        """Hold so much from now on, instead of what the key held. What is not more than before is always had.

        `share_cpus`: containers may use the same CPUs, so that theirs need not add up. `instead`: only where the key
        holds something. Raises NoRoomYet.
        """
        with self._lock:
            if instead and key not in self._taken:
                raise NoRoomYet("its container has just gone")
            before = self._taken.get(key, Size(0, 0, 0))
            others = [taken for other, taken in self._taken.items() if other != key]
            memory = sum(taken.memory_limit for taken in others) + size.memory_limit
            cpus = sum(taken.cpus for taken in others) + size.cpus
            if size.memory_limit > before.memory_limit and memory > most.memory + _PAGES:
                raise NoRoomYet(f"{size.memory_limit // MIB} MiB are not free yet of the {most.memory // MIB} allowed")
            if not share_cpus and size.cpus > before.cpus and cpus > most.cpus + len(self._taken) * ROUNDING + ROUNDING:
                raise NoRoomYet(f"{size.cpus:.3g} CPUs are not free yet of the {most.cpus:.3g} allowed")
            self._taken[key] = size

    def above(self, most: Ceiling, *, share_cpus: bool = False) -> bool:
        """Whether all together hold more than that, as where a ceiling was lowered."""
        with self._lock:
            taken = list(self._taken.values())
        cpus = 0.0 if share_cpus else sum(size.cpus for size in taken)
        memory = sum(size.memory_limit for size in taken)
        return memory > most.memory + _PAGES or cpus > most.cpus + (len(taken) + 1) * ROUNDING

    def keep(self, key: int | str, size: Size) -> None:
        """It holds so much, whether or not there is room: that is how it is; nothing where it has left meanwhile."""
        with self._lock:
            if key in self._taken:
                self._taken[key] = size

    def leave(self, key: int | str, heir: str = "") -> None:
        """The key holds nothing any more; what it held goes to its `heir`, where there is one."""
        with self._lock:
            taken = self._taken.pop(key, None)
            if heir and taken is not None:
                self._taken[heir] = taken

    def held(self, key: int | str) -> Size | None:
        with self._lock:
            return self._taken.get(key)
