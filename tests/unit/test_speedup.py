"""Fits of how jobs speed up: what went in comes out, and nothing is said where the runs tell nothing."""

from math import inf, isclose
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.speedup import Curve, Point, added, fit, run_of
from dockercomp.protocol.speedup_view import in_words, view_of
from dockercomp.protocol.student import quantile

BODYTRACK = [(1, 100.0), (2, 59.0), (4, 39.0), (8, 28.0), (16, 22.0), (32, 20.0)]
"""Published wall times, in % of one thread's."""


def usl(width: float, one: float, serial: float, coherence: float) -> float:
    return one * (1 + serial * (width - 1) + coherence * width * (width - 1)) / width


@given(
    one=st.floats(0.01, 1000),
    serial=st.floats(0, 0.5),
    coherence=st.one_of(st.just(0.0), st.floats(1e-3, 0.05)),
    runs=st.integers(5, 20),
)
def test_a_law_is_found_again(one: float, serial: float, coherence: float, runs: int) -> None:
    points = [run_of(width, usl(width, one, serial, coherence)) for width in (1, 2, 4, 8, 16) for _ in range(runs)]
    curve = fit(points)
    assert curve is not None
    assert curve.law == ("usl" if coherence else "amdahl")
    for width in (1, 3, 16):
        assert isclose(curve.wall(width), usl(width, one, serial, coherence), rel_tol=1e-3)


def test_a_published_curve_is_met_within_a_few_hundredths() -> None:
    curve = fit(run_of(width, wall) for width, wall in BODYTRACK)
    assert curve is not None
    assert curve.error < 0.03
    assert all(abs(curve.wall(width) / wall - 1) < 0.06 for width, wall in BODYTRACK)


@pytest.mark.parametrize(
    "points",
    [[], [run_of(1, 5.0)], [run_of(2, 5.0)] * 10, [run_of(1, 5.0), run_of(2, 3.0)]],
    ids=["none", "one run", "one width", "two runs"],
)
def test_too_few_runs_say_nothing(points: list[Point]) -> None:
    assert fit(points) is None


def test_beyond_the_peak_it_gets_slower() -> None:
    curve = Curve(law="usl", one=10, serial=0.1, coherence=0.01, error=0.01, narrowest=1, widest=32, runs=10)
    assert isclose(curve.peak, (0.9 / 0.01) ** 0.5)
    assert curve.wall(curve.peak) < min(curve.wall(curve.peak / 2), curve.wall(curve.peak * 2))


def test_amdahl_has_no_peak_and_less_than_one_cpu_is_slower_in_proportion() -> None:
    curve = Curve(law="amdahl", one=10, serial=0.1, error=0.01, narrowest=1, widest=8, runs=10)
    assert curve.peak == inf
    assert curve.wall(0.5) == 20


@given(
    st.lists(
        st.builds(run_of, st.sampled_from([0.5, 1, 2, 4, 8]), st.floats(1e-3, 1e3, allow_nan=False), st.floats(0, 1e3)),
        max_size=40,
    )
)
def test_whatever_was_measured_the_fit_is_a_law(points: list[Point]) -> None:
    curve = fit(points)
    if curve is not None:
        assert curve.one > 0 and 0 <= curve.serial <= 1 and curve.coherence >= 0
        assert all(0 < curve.wall(width) < inf and curve.deviation(width) >= 0 for width in (0.1, 1, 2, 64))


def test_points_of_one_width_add_up_in_any_order() -> None:
    points = [run_of(2, 3.0, 5.0), run_of(1, 4.0, 4.0), run_of(2, 5.0, 5.5)]
    once, again = added(points), added([*added(points[2:]), *added(points[:2])])
    assert once == again
    assert [(point.width, point.runs, point.mean) for point in once] == [(1, 1, 4.0), (2, 2, 4.0)]
    assert isclose(once[1].spread, 2**0.5)


def test_impossible_runs_are_left_out() -> None:
    assert added([run_of(0, 1.0), run_of(1, 0.0), run_of(inf, 1.0), run_of(1, float("nan")), run_of(-1, 2.0)]) == []


def test_scatter_makes_the_error_wide() -> None:
    def around(share: float) -> list[Point]:
        return [
            run_of(w, usl(w, 10, 0.1, 0) * (1 + sign * share)) for w in (1, 2, 4) for sign in (-1, 1) for _ in range(5)
        ]

    sure, unsure = fit(around(0.01)), fit(around(0.2))
    assert sure is not None and unsure is not None
    assert unsure.deviation(4) > 5 * sure.deviation(4) > 0


def test_widths_of_at_most_one_cpu_tell_nothing_of_a_speedup() -> None:
    points = [run_of(width, 10 / width) for width in (0.25, 0.5, 1.0) for _ in range(20)]
    assert fit(points) is None


@given(
    st.lists(
        st.builds(
            Point,
            width=st.sampled_from([1, 2, 8]),
            runs=st.integers(1, 9),
            wall_s=st.integers(1, 1000).map(float),
            wall_s2=st.integers(1, 1000).map(float),
            cpu_s=st.integers(0, 1000).map(float),
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_adding_points_is_associative(points: list[Point], cut: int) -> None:
    assert added([*added(points[:cut]), *added(points[cut:])]) == added(points)


@pytest.mark.parametrize(
    ("serial", "coherence"), [(0.1, 0.0), (0.0, 0.0), (0.05, 0.004)], ids=["amdahl", "ideal", "usl"]
)
def test_the_band_holds_the_truth_about_as_often_as_it_says(serial: float, coherence: float) -> None:
    chance, held, asked = Random(5), 0, 0
    for _ in range(400):
        points = [
            run_of(width, usl(width, 10, serial, coherence) * chance.gauss(1, 0.05))
            for width in (1, 2, 4, 8)
            for _ in range(4)
        ]
        curve = fit(points)
        assert curve is not None
        for width in (2, 4, 8):
            low, high = curve.band(width)
            held += low <= 10 / usl(width, 10, serial, coherence) <= high + 1e-12
            asked += 1
    assert 0.92 <= held / asked <= 1.0


def test_the_band_is_wide_where_runs_are_few_and_never_promises_more_than_each_cpu_gives() -> None:
    few = fit([run_of(1, 10.0), run_of(1, 10.4), run_of(4, 3.0)])
    many = fit([run_of(1, 10.0), run_of(1, 10.4), run_of(4, 3.0), run_of(4, 3.1)] * 20)
    assert few is not None and many is not None
    for curve in (few, many):
        low, high = curve.band(4)
        assert 0 <= low <= curve.speedup(4) <= high <= 4
    assert few.band(4)[0] < many.band(4)[0]


def test_a_law_without_serial_part_is_uncertain_too() -> None:
    curve = fit([run_of(width, 10 / width * noise) for width in (1, 2, 4) for noise in (0.9, 1.0, 1.1)])
    assert curve is not None and curve.serial < 0.01
    assert curve.band(4)[0] < 3.95


def test_a_program_that_gains_nothing_is_not_taken_for_one_that_more_cpus_harm() -> None:
    chance, harmed = Random(3), 0
    for _ in range(200):
        curve = fit([run_of(width, 10 * chance.gauss(1, 0.1)) for width in (1, 1.5, 2) for _ in range(6)])
        assert curve is not None and curve.speedup(2) < 1.4
        harmed += curve.wall(4) > 15
    assert harmed <= 20
    exact = fit([run_of(width, 5.0) for width in (1, 2, 4) for _ in range(3)])
    assert exact is not None and exact.law == "amdahl" and isclose(exact.serial, 1, abs_tol=1e-6)


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (10, 2.228), (35, 2.030), (80, 1.990), (10_000, 1.960)])
def test_students_quantiles(freedom: int, expected: float) -> None:
    assert isclose(quantile(freedom), expected, abs_tol=2e-3)


@given(
    st.lists(
        st.builds(
            run_of,
            st.floats(1e-9, 1e12),
            st.floats(1e-9, 1e12),
            st.floats(0, 1e12),
        ),
        max_size=30,
    )
)
def test_whatever_was_measured_a_view_can_be_told(points: list[Point]) -> None:
    view = view_of("j1", "map", "4 CPUs", points)
    assert in_words(view)
    assert len(view.widths) == len(view.speedup) == len(view.low) == len(view.high)
    for low, speedup, high in zip(view.low, view.speedup, view.high, strict=True):
        assert 0 <= low <= speedup <= high < inf


def test_a_sentence_names_the_law_or_what_is_missing() -> None:
    serial = view_of("j", "map", "k", [run_of(w, usl(w, 10, 0.1, 0) * n) for w in (1, 2, 8) for n in (0.99, 1.01)])
    assert "10 % of the work is serial" in in_words(serial) and "10 times" in in_words(serial)
    assert "coherence" in in_words(view_of("j", "map", "k", [run_of(w, usl(w, 9, 0.05, 0.01)) for w in range(1, 17)]))
    assert "no run" in in_words(view_of("j", "map", "k", []))
    assert "all 2 runs had 2 CPUs" in in_words(view_of("j", "map", "k", [run_of(2, 1.0)] * 2))
    assert "at most one CPU" in in_words(view_of("j", "map", "k", [run_of(0.5, 2.0), run_of(1, 1.0)]))
    assert "too few" in in_words(view_of("j", "map", "k", [run_of(2, 1.0), run_of(1, 1.0)]))
