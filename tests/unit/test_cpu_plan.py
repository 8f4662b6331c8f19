"""Dividing a machine's CPU: what no division may ever do, and that curves move it to where it helps."""

from dataclasses import replace
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.speedup import Curve
from worker.cpu_plan import FAIR, LEAST, STEP, Policy, Program, divide, gain, settled

POLICIES: tuple[Policy, ...] = ("overcommit", "equal", "curve")


def curve(serial: float, coherence: float = 0.0, one: float = 10.0) -> Curve:
    return Curve(
        law="usl" if coherence else "amdahl",
        one=one,
        serial=serial,
        coherence=coherence,
        error=0.01,
        narrowest=1,
        widest=8,
        runs=10,
    )


curves = st.none() | st.builds(curve, st.floats(0, 1), st.sampled_from([0.0, 0.001, 0.05]), st.floats(0.1, 100))


@st.composite
def mixes(draw: st.DrawFn) -> list[Program]:
    found = []
    for number in range(draw(st.integers(1, 12))):
        least = draw(st.sampled_from([LEAST, 0.5, 1.0]))
        most = draw(st.sampled_from([1.0, 2.0, 4.0, float("inf")]))
        weight = draw(st.sampled_from([0.5, 1.0, 2.0]))
        found.append(Program(f"p{number}", draw(curves), least=least, most=most, weight=weight))
    return found


@given(mixes(), st.floats(0.5, 272), st.sampled_from(POLICIES))
def test_nobody_gets_nothing_and_widths_are_respected(programs: list[Program], cpus: float, policy: Policy) -> None:
    plan = divide(policy, cpus, programs)
    assert plan.keys() == {program.name for program in programs}
    for program in programs:
        assert plan[program.name] >= max(LEAST, program.least) - 1e-9
        assert plan[program.name] <= max(program.most, program.least) + 1e-9


@given(mixes(), st.floats(0.5, 272), st.sampled_from(["equal", "curve"]))
def test_no_more_is_given_than_there_is(programs: list[Program], cpus: float, policy: Policy) -> None:
    needed = sum(max(LEAST, program.least) for program in programs)
    assert sum(divide(policy, cpus, programs).values()) <= max(cpus, needed) + 1e-6


@given(mixes(), st.floats(0.5, 272))
def test_by_curve_nobody_falls_far_below_its_equal_share(programs: list[Program], cpus: float) -> None:
    unweighted = [replace(program, weight=1.0) for program in programs]
    equal, plan = divide("equal", cpus, unweighted), divide("curve", cpus, programs)
    for program in programs:
        assert program.speed(plan[program.name]) >= FAIR * program.speed(equal[program.name]) - 1e-9


@given(mixes(), st.floats(1, 272))
def test_by_curve_the_sum_of_relative_speeds_is_never_less(programs: list[Program], cpus: float) -> None:
    alike = [Program(p.name, p.curve, p.least, p.most) for p in programs]
    equal, plan = divide("equal", cpus, alike), divide("curve", cpus, alike)
    assert gain(alike, equal, plan) >= -0.02, "steps of a quarter CPU may miss the equal split by as much"


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(2, 12)), min_size=2, max_size=4), st.integers(4, 32))
def test_by_curve_no_division_in_such_steps_gains_more(found: list[tuple[float, int]], steps: int) -> None:
    """Against all divisions there are, from the floors on, by dynamic programming."""
    programs = [Program(f"p{n}", curve(s), most=most * STEP) for n, (s, most) in enumerate(found)]
    cpus = len(programs) * STEP * (steps // 4)
    equal, plan = divide("equal", cpus, programs), divide("curve", cpus, programs)
    best = {0: 0.0}
    for program in programs:
        base = program.speed(equal[program.name])
        gains = {
            width: program.speed(width * STEP) / base
            for width in range(1, round(program.most / STEP) + 1)
            if program.speed(width * STEP) >= FAIR * base
        }
        best = {
            used: max(best[used - width] + gained for width, gained in gains.items() if used - width in best)
            for used in {old + width for old in best for width in gains if old + width <= round(cpus / STEP)}
        }
    if best and all(share % STEP == 0 for share in equal.values()):
        achieved = sum(program.speed(plan[program.name]) / program.speed(equal[program.name]) for program in programs)
        assert achieved >= max(best.values()) - 1e-6


def test_who_is_unknown_keeps_its_equal_share_and_gets_what_nobody_else_can_use() -> None:
    steep, flat, unknown = Program("steep", curve(0.01)), Program("flat", curve(0.9)), Program("unknown")
    assert divide("curve", 12, [steep, flat, unknown])["unknown"] == 4
    peaked = Program("peaked", curve(0.1, 0.1))
    plan = divide("curve", 12, [peaked, unknown])
    assert plan["peaked"] <= 3 and plan["unknown"] >= 9


def test_priorities_gain_first_but_push_nobody_below_its_floor() -> None:
    first, second = Program("first", curve(0.05), weight=4), Program("second", curve(0.05))
    plan = divide("curve", 8, [first, second])
    assert plan["first"] > plan["second"]
    assert second.speed(plan["second"]) >= FAIR * second.speed(4)


def test_cpu_goes_to_who_gains_from_it() -> None:
    steep, flat = Program("steep", curve(0.01)), Program("flat", curve(0.6))
    plan = divide("curve", 8, [steep, flat])
    assert plan["steep"] > 5 > plan["flat"]
    assert gain([steep, flat], divide("equal", 8, [steep, flat]), plan) > 0.1


def test_nobody_gets_more_than_its_peak() -> None:
    peaked = Program("peaked", curve(0.1, 0.1))
    for policy in POLICIES:
        assert divide(policy, 64, [peaked])["peaked"] == pytest.approx(3)


def test_what_one_cannot_use_goes_to_the_others() -> None:
    narrow, wide = Program("narrow", most=1), Program("wide")
    assert divide("equal", 8, [narrow, wide]) == {"narrow": 1, "wide": 7}


def test_weights_are_shares() -> None:
    plan = divide("equal", 6, [Program("a", weight=2), Program("b")])
    assert isclose(plan["a"], 4) and isclose(plan["b"], 2)


def test_a_small_gain_moves_nobody_and_a_newcomer_moves_all() -> None:
    a, b = Program("a", curve(0.1)), Program("b", curve(0.12))
    old = divide("equal", 4, [a, b])
    assert settled([a, b], old, divide("curve", 4, [a, b])) is old
    new = divide("equal", 4, [a, b, Program("c")])
    assert settled([a, b, Program("c")], old, new) is new


def test_a_large_gain_moves() -> None:
    programs = [Program("steep", curve(0.0)), Program("flat", curve(0.9))]
    old, new = divide("equal", 16, programs), divide("curve", 16, programs)
    assert settled(programs, old, new) is new


def test_a_smaller_machine_moves_all_at_once() -> None:
    programs = [Program("a"), Program("b")]
    new = divide("equal", 2, programs)
    assert settled(programs, divide("equal", 4, programs), new) is new


@pytest.mark.parametrize("cpus", [0, -1, float("nan")])
def test_no_cpu_cannot_be_divided(cpus: float) -> None:
    with pytest.raises(ValueError, match="cannot be divided"):
        divide("equal", cpus, [Program("a")])
