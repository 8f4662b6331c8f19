"""How containers share a machine's CPU as they come and go: what no policy may ever do, and how quickly it follows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import Allocation, Ceiling, JobPoints, Point, Policy
from dockercomp.protocol.speedup import run_of
from worker.beside import Claims
from worker.cpu_plan import FAIR, LEAST
from worker.division import LINGER_S, SETTLE_S, WEIGHTS, Computing, Division, Share
from worker.pinning import Pins
from worker.topology import Place

POLICIES: tuple[Policy, ...] = ("fixed", "equal", "curve", "overcommit")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class MadeClaims(Claims):
    """Of a host on which other workers have some CPUs, or none."""

    def __init__(self, others: set[int] | None = None) -> None:
        super().__init__()
        self.others = others or set()

    def claim(self, cpus: Iterable[int]) -> frozenset[int]:
        return frozenset(cpus) - self.others


def pins(cpus: int) -> Pins:
    return Pins({cpu: Place(core=cpu, node=0) for cpu in range(cpus)}, MadeClaims())


def allocation(containers: int, cpus: float, policy: Policy = "equal", **more: object) -> Allocation:
    return Allocation(version=1, containers=containers, cpus=cpus, memory=2**30, policy=policy, **more)  # type: ignore[arg-type]


def ceiling(cpus: float) -> Ceiling:
    return Ceiling(containers=64, cpus=cpus, memory=2**40)


def runs(slot: int, job: str = "", least: float = 0.0, most: float = 64.0, **more: object) -> Computing:
    return Computing(slot, job or f"j{slot}", 0, least, most, **more)  # type: ignore[arg-type]


def points(job: str, serial: float, widths: Sequence[float] = (1, 2, 4, 8)) -> JobPoints:
    """Exactly Amdahl's, ten seconds a chunk on one CPU."""
    found: list[Point] = []
    for width in widths:
        once = run_of(width, 10 * (serial + (1 - serial) / width))
        found.append(Point(width=width, runs=3, wall_s=3 * once.wall_s, wall_s2=3 * once.wall_s2))
    return JobPoints(job=job, stage=0, points=found)


def total(shares: dict[int, Share]) -> float:
    return sum(share.cpus for share in shares.values())


@st.composite
def situations(draw: st.DrawFn) -> tuple[Allocation, Ceiling, list[int], list[Computing]]:
    containers = draw(st.integers(1, 8))
    cpus = draw(st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0]))
    most = draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0, 16.0, 64.0]))
    slots = list(range(1, containers + draw(st.integers(0, 2)) + 1))
    busy = draw(st.sets(st.sampled_from(slots)))
    computing = [
        runs(
            slot,
            draw(st.sampled_from(["a", "b", "c"])),
            draw(st.sampled_from([0.0, 0.5, 1.0, 4.0])),
            draw(st.sampled_from([0.5, 1.0, 2.0, 16.0])),
            priority=draw(st.sampled_from([-100, 0, 100])),
            sweep=draw(st.booleans()),
            chunk=draw(st.sampled_from(["l1", "l2"])),
        )
        for slot in sorted(busy)
    ]
    policy = draw(st.sampled_from(POLICIES))
    priority = draw(st.sampled_from(["low", "normal", "high"]))
    return (
        allocation(containers, cpus, policy, priority=priority),
        ceiling(most),
        [slot for slot in slots if slot not in busy],
        computing,
    )


@given(st.lists(situations(), min_size=1, max_size=5), st.sampled_from([0.0, 0.3, 2.0]), st.booleans())
def test_whatever_comes_after_whatever(
    cases: list[tuple[Allocation, Ceiling, list[int], list[Computing]]], step: float, pinned: bool
) -> None:
    clock = Clock()
    division = Division(8, pins(8) if pinned else None, clock)
    division.learned([points("a", 0.01), points("b", 0.7)])
    for allowed, most, idle, computing in cases:
        clock.now += step
        shares = dict(division.shares(allowed, most, idle, computing))
        law = min(most.cpus, 8.0)
        assert shares.keys() == {*idle, *(one.slot for one in computing)}, "everyone has a share"
        assert all(share.cpus >= LEAST for share in shares.values()), "never nothing"
        assert all(share.cpus <= law + 1e-9 for share in shares.values())
        assert all(share.width >= 1 and share.width == int(share.width) for share in shares.values())
        assert all(share.had <= min(share.cpus, share.width) + 0.026 for share in shares.values())
        assert all(2 <= share.weight <= 262144 for share in shares.values())
        sets = [_cpus(share) for share in shares.values()]
        assert all(cpus <= set(range(8)) for cpus in sets), "and no CPU that is not there"
        if total(shares) > max(law, LEAST * len(shares)) + 1e-6:
            assert allowed.policy == "overcommit"
            assert len(set().union(*sets)) <= max(1, floor(law)), "one set of CPUs holds them to the ceiling"
        if allowed.policy in ("equal", "curve"):
            budget = min(allowed.containers * allowed.cpus, law)
            assert total(shares) <= max(budget, LEAST * len(shares)) + 1e-6
            busy = {one.slot: one for one in computing}
            leasts = sum(max(one.least, LEAST) for one in division_busy(division))
            for slot, one in busy.items():
                assert shares[slot].cpus <= max(one.most, one.least, LEAST) + 1e-6
                if leasts + LEAST * len(idle) <= budget and not any(one.sweep for one in computing):
                    assert shares[slot].cpus >= one.least - 2e-3


def division_busy(division: Division) -> list[Computing]:
    return [one for one, _ in division._busy.values()]


def _cpus(share: Share) -> set[int]:
    found: set[int] = set()
    for part in share.cpuset.split(",") if share.cpuset else ["0-7"]:
        low, _, high = part.partition("-")
        found |= set(range(int(low), int(high or low) + 1))
    return found


@given(situations())
def test_the_same_question_has_the_same_answer(case: tuple[Allocation, Ceiling, list[int], list[Computing]]) -> None:
    assert Division(8, pins(8), Clock()).shares(*case) == Division(8, pins(8), Clock()).shares(*case)


def test_fixed_gives_each_its_own_used_or_not() -> None:
    shares = Division(8).shares(allocation(4, 1.5, "fixed"), ceiling(8), [1, 2], [runs(3), runs(4, most=1)])
    assert {share.cpus for share in shares.values()} == {1.5}
    assert shares[3].width == 2 and shares[4].width == 1, "whole, and no more than the job can use"


def test_an_idle_containers_cpu_goes_to_those_that_compute_and_comes_back_at_once() -> None:
    clock = Clock()
    division, allowed = Division(8, clock=clock), allocation(4, 2)
    alone = division.shares(allowed, ceiling(8), [2, 3, 4], [runs(1)])
    assert alone[1].cpus == pytest.approx(8 - 3 * LEAST) and alone[2].cpus == LEAST
    beside = division.shares(allowed, ceiling(8), [3, 4], [runs(1), runs(2)])
    assert beside[1].cpus == beside[2].cpus == pytest.approx(4 - LEAST), "in the same moment, without any wait"


def test_a_pause_between_two_chunks_moves_nothing_and_an_end_does_after_a_second() -> None:
    clock = Clock()
    division, allowed = Division(8, clock=clock), allocation(2, 2)
    both = division.shares(allowed, ceiling(8), [], [runs(1), runs(2)])
    clock.now += LINGER_S / 2
    assert division.shares(allowed, ceiling(8), [2], [runs(1)]) == both
    clock.now += LINGER_S
    assert division.shares(allowed, ceiling(8), [2], [runs(1)])[1].cpus == pytest.approx(4 - LEAST)


def test_a_crashed_containers_share_is_there_for_the_others_at_once() -> None:
    division, allowed = Division(8, clock=Clock()), allocation(2, 2)
    assert division.shares(allowed, ceiling(8), [], [runs(1), runs(2)])[1].cpus == 2
    assert division.shares(allowed, ceiling(8), [], [runs(1)])[1].cpus == 4


def test_a_lowered_ceiling_is_followed_at_once() -> None:
    division = Division(8, clock=Clock())
    for policy in POLICIES:
        division.shares(allocation(2, 2, policy), ceiling(8), [], [runs(1), runs(2)])
        lowered = division.shares(allocation(2, 2, policy), ceiling(1), [], [runs(1), runs(2)])
        assert total(dict(lowered)) <= 1


def test_least_widths_that_do_not_fit_together_are_lowered_alike() -> None:
    shares = Division(8).shares(allocation(2, 2), ceiling(8), [], [runs(1, least=3), runs(2, least=3)])
    assert shares[1].cpus == shares[2].cpus == 2


def test_by_curve_cpu_goes_where_it_helps_and_nobody_falls_below_the_floor() -> None:
    division = Division(8)
    allowed, programs = allocation(2, 4, "curve"), [runs(1, "steep"), runs(2, "flat")]
    assert division.shares(allowed, ceiling(8), [], programs)[1].cpus == 4, "nothing is known yet"
    division = Division(8)
    division.learned([points("steep", 0.01), points("flat", 0.8)])
    shares = division.shares(allowed, ceiling(8), [], programs)
    assert shares[1].cpus > 5 > 3 > shares[2].cpus
    assert 1 / (0.8 + 0.2 / shares[2].cpus) >= FAIR / (0.8 + 0.2 / 4)


def test_a_curve_is_not_believed_far_beyond_what_was_measured_nor_where_it_is_noise() -> None:
    division = Division(64)
    flat = points("flat", 0.9, widths=(1, 2))
    division.learned([points("steep", 0.0, widths=(1, 2)), flat, points("other", 0.9, widths=(1, 2))])
    programs = [runs(1, "steep"), runs(2, "flat"), runs(3, "other")]
    allowed = allocation(3, 4, "curve")
    assert division.shares(allowed, ceiling(64), [], programs)[1].cpus == 4, "its equal share, or twice 2"
    division = Division(64)
    division.learned([points("steep", 0.0, widths=(1, 4)), flat, points("other", 0.9, widths=(1, 2))])
    assert 4 < division.shares(allowed, ceiling(64), [], programs)[1].cpus <= 8
    alike = Division(64)
    alike.learned([points("steep", 0.0, widths=(3.95, 4)), points("flat", 0.9, widths=(3.95, 4))])
    assert {share.cpus for share in alike.shares(allowed, ceiling(64), [], programs).values()} == {4}


def test_by_curve_the_higher_priority_gains_first() -> None:
    division = Division(8)
    division.learned([points("a", 0.05), points("b", 0.05)])
    programs = [runs(1, "a", priority=100), runs(2, "b")]
    shares = division.shares(allocation(2, 4, "curve"), ceiling(8), [], programs)
    assert shares[1].cpus > shares[2].cpus
    equal = division.shares(allocation(2, 4, "equal"), ceiling(8), [], programs)
    assert equal[1].cpus == equal[2].cpus


def test_news_of_curves_move_nobody_twice_in_a_second_nor_for_a_trifle() -> None:
    clock = Clock()
    division, allowed = Division(8, clock=clock), allocation(2, 4, "curve")
    programs = [runs(1, "a"), runs(2, "b")]
    plans = [division.shares(allowed, ceiling(8), [], programs)]
    changes = []
    for number in range(100):
        clock.now += SETTLE_S / 10
        steep, flat = ("a", "b") if number % 2 else ("b", "a")
        division.learned([points(steep, 0.001), points(flat, 0.9)])
        plans.append(division.shares(allowed, ceiling(8), [], programs))
        if plans[-1] != plans[-2]:
            changes.append(clock.now)
    assert changes and all(b - a >= SETTLE_S - 1e-6 for a, b in pairwise(changes))
    clock.now += 10
    division.learned([points("a", 0.10), points("b", 0.10)])
    settled = division.shares(allowed, ceiling(8), [], programs)
    clock.now += 10
    division.learned([points("a", 0.10), points("b", 0.11)])
    assert division.shares(allowed, ceiling(8), [], programs) == settled


def test_overcommit_lets_everyone_use_all_and_a_set_of_cpus_holds_them_to_the_ceiling() -> None:
    programs = [runs(1), runs(2, priority=100), runs(3, most=2)]
    shares = Division(8, pins(8)).shares(allocation(4, 2, "overcommit"), ceiling(4), [4], programs)
    assert [shares[slot].cpus for slot in (1, 2, 3, 4)] == [4, 4, 2, 4]
    assert len({share.cpuset for share in shares.values()}) == 1 and len(_cpus(shares[1])) == 4
    assert shares[1].width == 4 and shares[1].had == 0, "how many CPUs it had nobody knows"
    assert shares[2].weight == 4 * shares[1].weight


def test_overcommit_without_pins_is_an_equal_division() -> None:
    programs = [runs(1), runs(2)]
    assert total(dict(Division(8).shares(allocation(4, 2, "overcommit"), ceiling(4), [], programs))) <= 4
    whole = Division(8).shares(allocation(4, 2, "overcommit"), ceiling(8), [], programs)
    assert [whole[slot].cpus for slot in (1, 2)] == [8, 8], "all of the machine is the ceiling: nothing to hold"


def test_a_clients_priority_is_its_containers_weight() -> None:
    for priority, weight in WEIGHTS.items():
        shares = Division(8).shares(allocation(1, 1, priority=priority), ceiling(8), [], [runs(1)])
        assert shares[1].weight == weight


def test_whole_shares_are_pinned_apart_and_fractions_float_in_the_rest() -> None:
    division = Division(4, pins(4))
    shares = division.shares(
        allocation(3, 1, "equal"), ceiling(3), [], [runs(1, most=1), runs(2, most=1), runs(3, most=0.5)]
    )
    assert [len(_cpus(replace(shares[slot]))) for slot in (1, 2)] == [1, 1]
    assert shares[3].cpuset == "2-3"


def test_what_another_worker_has_is_pinned_as_soon_as_it_has_left() -> None:
    claims = MadeClaims({0, 1})
    division = Division(2, Pins({0: Place(0, 0), 1: Place(1, 0)}, claims))
    asked = (allocation(2, 1), ceiling(2), [], [runs(1), runs(2)])
    assert {share.cpuset for share in division.shares(*asked).values()} == {""}
    claims.others = set()
    assert {share.cpuset for share in division.shares(*asked).values()} == {"0", "1"}


def test_runs_at_about_the_same_width_are_runs_at_one() -> None:
    had = set()
    for cpus in (3.96, 3.97, 3.98, 3.99, 4.0, 4.01):
        had.add(Division(8).shares(allocation(1, cpus), ceiling(8), [], [runs(1)])[1].had)
    assert had == {3.95, 4.0}


@pytest.mark.parametrize("policy", ["fixed", "equal", "curve"])
def test_a_sweep_runs_each_width_and_then_follows_the_policy(policy: Policy) -> None:
    division, allowed = Division(8, clock=Clock()), allocation(1, 4, policy)
    ran: list[float] = []
    for number in range(12):
        one = runs(1, "s", most=4, sweep=True, chunk=f"l{number}")
        share = division.shares(allowed, ceiling(8), [], [one])[1]
        assert share.had == share.cpus == share.width, "which its time tells of"
        assert division.shares(allowed, ceiling(8), [], [one])[1] == share, "to the chunk's end"
        ran.append(share.cpus)
    assert sorted(ran) == [1, 1, 1, 2, 2, 2, 4, 4, 4, 4, 4, 4]


def test_a_sweep_takes_nothing_from_others() -> None:
    division, allowed = Division(8, clock=Clock()), allocation(4, 2)
    for number in range(20):
        swept = [runs(slot, "s", sweep=True, chunk=f"{slot}.{number // slot}") for slot in (1, 2, 3)]
        shares = division.shares(allowed, ceiling(8), [], [*swept, runs(4, "other")])
        assert shares[4].cpus >= 2 - 1e-3
        assert total(dict(shares)) <= 8 + 1e-6


def test_widths_that_the_pool_knows_are_not_run_again() -> None:
    division, allowed = Division(8, clock=Clock()), allocation(1, 4)
    division.learned([points("s", 0.1, widths=(1, 4))])
    one = runs(1, "s", most=4, sweep=True, chunk="l1")
    assert division.shares(allowed, ceiling(8), [], [one])[1].cpus == 2
