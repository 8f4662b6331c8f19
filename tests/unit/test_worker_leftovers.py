"""A container whose removal fails is not forgotten: it is told of and tried again until it is gone."""

from worker.engine import EngineError
from worker.leftovers import FIRST_PAUSE, LONGEST_PAUSE, Leftovers


class Engine:
    def __init__(self, failures: int) -> None:
        self.failures, self.asked = failures, list[str]()

    def remove(self, container: str) -> None:
        self.asked.append(container)
        if len(self.asked) <= self.failures:
            raise EngineError("device is busy")


def test_it_is_tried_until_it_is_gone_ever_more_seldom() -> None:
    engine, now, gone = Engine(failures=8), [100.0], list[str]()
    left = Leftovers(engine.remove, clock=lambda: now[0])
    left.gone = gone.append
    left.add("abcdef0123456789", "dc-x-1", "device is busy")
    left.again()
    assert not engine.asked, "not at once"
    pauses: list[float] = []
    while not gone:
        before, tries = now[0], len(engine.asked)
        while len(engine.asked) == tries:
            now[0] += FIRST_PAUSE / 2
            left.again()
        pauses.append(now[0] - before)
        assert gone or (
            "dc-x-1 could not be removed" in left.sentences()[0] and "device is busy" in left.sentences()[0]
        )
    assert pauses[0] == FIRST_PAUSE and pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE
    assert gone == ["abcdef0123456789"] and left.sentences() == [] and len(engine.asked) == 9
    left.again()
    assert len(engine.asked) == 9


def test_one_that_stays_for_days_is_still_tried() -> None:
    engine, now = Engine(failures=2000), [100.0]
    left = Leftovers(engine.remove, clock=lambda: now[0])
    left.add("abcdef0123456789", "dc-x-1", "device is busy")
    while left.sentences():
        now[0] += LONGEST_PAUSE
        left.again()
    assert len(engine.asked) == 2001
