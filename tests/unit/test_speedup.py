"""Fits of how jobs speed up: what went in comes out, and nothing is said where the runs tell nothing."""

from math import inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.speedup import Curve, Point, added, fit, run_of

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
