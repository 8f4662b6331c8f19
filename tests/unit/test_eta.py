"""How long a job still takes: a range that holds the truth, moves with the containers, and says nothing too early."""

from random import Random

import pytest

from server import eta
from server.eta import Runs, Sample


def steady(rate: float, seconds: int, containers: int = 4, stage: int = 0) -> list[Sample]:
    return [Sample(float(t), stage, int(rate * t), containers) for t in range(0, seconds + 1, 2)]


def test_a_steady_rate_gives_a_narrow_range_around_the_truth() -> None:
    found = eta.remaining(steady(50, 38), 5000, 4, Runs(1900, 152, 15), 1)
    assert found is not None
    low, high = found
    assert low < 100 < high and high < 1.2 * low


def test_few_chunks_give_a_wide_range() -> None:
    few, many = eta.remaining(steady(0.2, 30), 100, 4, Runs(), 1), eta.remaining(steady(20, 30), 10_000, 4, Runs(), 1)
    assert few is not None and many is not None
    assert few[1] / few[0] > 2 > 1.5 > many[1] / many[0]


def test_half_the_containers_take_twice_as_long() -> None:
    before, after = (eta.remaining(steady(10, 38), 1000, now, Runs(), 1) for now in (4, 2))
    assert before is not None and after is not None
    assert after == pytest.approx((2 * before[0], 2 * before[1]))


def test_slow_chunks_widen_the_upper_end() -> None:
    even, uneven = (eta.remaining(steady(10, 38), 100, 4, runs, 1) for runs in (Runs(), Runs(100, 1000, 50_000)))
    assert even is not None and uneven is not None
    assert uneven[0] == even[0] and uneven[1] > even[1] + 40


def test_before_enough_chunks_are_accepted_their_time_says_it() -> None:
    found = eta.remaining([Sample(0, 0, 0, 8)], 100, 8, Runs(3, 30, 300), 2)
    assert found is not None
    assert found[0] < 250 < found[1]


@pytest.mark.parametrize(
    ("samples", "left", "containers", "runs"),
    [
        ([], 10, 4, Runs(9, 9, 9)),
        (steady(10, 38), 0, 4, Runs()),
        (steady(10, 38), 10, 0, Runs()),
        ([Sample(0, 0, 0, 4), Sample(100, 0, 0, 4)], 10, 4, Runs()),
        ([Sample(0, 1, 0, 4)], 1, 4, Runs(100, 100, 100)),  # the times of the map say nothing of a reducer's
    ],
)
def test_nothing_is_said_without_ground(samples: list[Sample], left: int, containers: int, runs: Runs) -> None:
    assert eta.remaining(samples, left, containers, runs, 1) is None


def test_samples_are_few_and_cover_the_last_third() -> None:
    samples: list[Sample] = []
    for second in range(0, 3600):
        if eta.due(samples, second, 0):
            samples = eta.with_next(samples, Sample(second, 0, second, 4))
    assert len(samples) == eta.MOST_SAMPLES
    assert samples[-1].at - samples[0].at > 500
    assert eta.with_next(samples, Sample(4000, 1, 3600, 4)) == [Sample(4000, 1, 3600, 4)]


def test_the_truth_lies_within_most_ranges() -> None:
    """Chunks of random times on eight containers: four of five ranges hold, whenever they are asked for."""
    random, held, asked = Random(7), 0, 0
    for _ in range(60):
        free, accepted, squared, total = [0.0] * 8, [], 0.0, 0.0
        for _ in range(400):
            length = random.lognormvariate(1.0, 0.6)
            at = free.index(min(free))
            free[at] += length
            accepted.append(free[at])
            total, squared = total + length, squared + length * length
        accepted.sort()
        now = accepted[random.randrange(60, 380)]
        done = sum(t <= now for t in accepted)
        samples = [Sample(s, 0, sum(t <= s for t in accepted), 8) for s in (now * k / 10 for k in range(6, 11))]
        found = eta.remaining(samples, 400 - done, 8, Runs(400, total, squared), 1)
        assert found is not None
        asked += 1
        held += found[0] <= accepted[-1] - now <= found[1]
    assert held >= 0.75 * asked, (held, asked)
