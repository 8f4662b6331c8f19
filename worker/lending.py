"""What this machine lends now: the volunteer's wishes, what follows from the machine, and what else uses it."""

from dockercomp.protocol.messages import Ceiling

from . import contradictions, defaults, limits
from .limits import Wishes
from .neighbours import Neighbours


class Lending:
    """`ceiling` is for one thread; `reasons` and `cuts` for any."""

    def __init__(self, cores: int, memory: int, neighbours: Neighbours) -> None:
        """The machine has `cores` and `memory` bytes, as its engine says."""
        self._cores, self._memory, self._neighbours = cores, memory, neighbours
        self._others = defaults.NOBODY

    def ceiling(self, wishes: Wishes, our_cpus: float) -> Ceiling:
        """The most that may be used now, which other workers here see; our containers keep `our_cpus` cores busy."""
        self._others = self._neighbours.look(our_cpus)
        most = limits.ceiling(wishes, self._cores, self._memory, self._others)
        self._neighbours.show(most.cpus, most.memory, wished=wishes.cpus is not None)
        return most

    def reasons(self, wishes: Wishes) -> list[str]:
        """Why it is as much, where the volunteer did not say, a sentence each."""
        return [] if wishes.cpus else [defaults.sentence(self._cores, self._others)]

    def cuts(self, wishes: Wishes) -> list[str]:
        """What was wished for and the machine has not."""
        return contradictions.cuts(wishes, self._cores, self._memory)
