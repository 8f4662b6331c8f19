"""The volunteer's house rules at work: looks around, and holds disk and network to what is allowed now."""

import logging
import os
import time
from datetime import datetime

from . import permission, temperature
from .disk import MIB, Disk, NoRoom
from .hook import Hook
from .ledger import Ledger
from .lending import Lending
from .limits import Wishes
from .permission import Surroundings, Verdict
from .surroundings import Lookout

log = logging.getLogger(__name__)

LEAST_LEFT = 72 * MIB
"""Bytes of the day's network volume below which no chunk is taken: less lets no part in for all threads that fetch."""
_LEAST_ROOM = 16 * MIB


class House:
    """`follow` and `judge` are the keeper's alone; `disk` and `ledger` are for everybody."""

    def __init__(self, disk: Disk, ledger: Ledger, lookout: Lookout, hook: Hook, lending: Lending) -> None:
        self.disk, self.ledger, self._lookout, self._hook, self._lending = disk, ledger, lookout, hook, lending
        self._before, self._hot = Verdict(), False
        self._spent: tuple[float, float] | None = None

    def follow(self, wishes: Wishes) -> None:
        """These ceilings hold from now on."""
        self.disk.limit, self.ledger.limit = wishes.disk or 0, wishes.network_per_day or 0
        self.ledger.save()
        self._hook.follow(wishes.hook)

    def judge(self, wishes: Wishes, our_cpus: float, limits_hold: bool) -> Verdict:
        """What the rules say now; `our_cpus` is what our containers keep busy, in cores."""
        verdict = permission.judge(wishes, self._look(wishes, our_cpus, limits_hold))
        if verdict != self._before:
            log.info("%s", verdict.why or "Chunks are taken again.")
        self._before = verdict
        return verdict

    def _look(self, wishes: Wishes, our_cpus: float, limits_hold: bool) -> Surroundings:
        use = self._lookout.last_use(our_cpus + self._own_cpus()) if wishes.idle_s is not None else None
        celsius = temperature.celsius(self._lookout.root) if wishes.temperature is not None else None
        self._hot = temperature.too_hot(celsius, wishes.temperature, self._hot)
        resumes = self.ledger.resumes(LEAST_LEFT)
        return Surroundings(
            now=datetime.now(),
            unused_s=use.ago_s if use else 0.0,
            used_by=use.by if use else "",
            on_battery=not wishes.on_battery and self._lookout.on_battery(),
            celsius=celsius,
            too_hot=self._hot,
            hook=self._hook.why,
            disk_full=self._disk_full(),
            network_resumes=None if resumes is None else datetime.fromtimestamp(resumes),
            limits_hold=limits_hold,
        )

    def powerless(self, wishes: Wishes) -> str:
        """What of the volunteer's wishes this machine cannot follow, in sentences; empty where it can follow all."""
        found = self._lending.cuts(wishes)
        if wishes.temperature is not None and temperature.celsius(self._lookout.root) is None:
            found.append("DC_TEMPERATURE has no effect: this machine tells no temperature of its processor.")
        return " ".join(found)

    def rules(self, wishes: Wishes) -> list[str]:
        """When it works, and why it lends as much as it does where the volunteer did not say, a sentence each."""
        return [*permission.rules(wishes), *self._lending.reasons(wishes)]

    def _own_cpus(self) -> float:
        """What this process and its children kept busy since the last look, in cores."""
        now, spent = time.monotonic(), sum(os.times()[:4])
        before, self._spent = self._spent, (now, spent)
        return (spent - before[1]) / max(now - before[0], 0.001) if before else 0.0

    def _disk_full(self) -> str:
        try:
            self.disk.check(_LEAST_ROOM)
        except NoRoom as error:
            return str(error)
        return ""
