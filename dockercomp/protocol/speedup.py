"""How a job speeds up with width, fitted to runs at several widths: pure rules, no I/O.

Width is the CPUs a run had; time is wall seconds for one unit of work. Two laws, both linear in their parameters once
multiplied by the width n:

    Amdahl   n T(n) = T1 (1 + s (n - 1))                      s: the share that only one CPU can do
    USL      n T(n) = T1 (1 + s (n - 1) + k n (n - 1))        s: contention; k: coherence, each CPU talking to each

G. M. Amdahl, "Validity of the single processor approach to achieving large scale computing capabilities" (AFIPS 1967);
N. J. Gunther, "Guerrilla Capacity Planning" (2007). Fitted by least squares of relative errors, each width weighted by
its number of runs; the law with coherence is taken where it explains the points better by the corrected information
criterion of Hurvich and Tsai, "Regression and time series model selection in small samples" (Biometrika 76, 1989).
The band of the speed-up follows from the coefficients' covariance by the delta method on its logarithm, and says where
the law lies if the job follows one: how far single runs lie from it is `error`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import exp, inf, isfinite, log, sqrt
from typing import Literal

from .messages import Message, Point
from .student import quantile

Law = Literal["amdahl", "usl"]

LEAST_WIDTHS = 2
"""Different widths that a fit needs; with fewer nothing is said. All up to one CPU count as one: they tell how long a
run takes, and nothing of how it speeds up."""
LEAST_RUNS = 3
"""Runs, of all widths together, that a fit needs."""
_FLAT = 3
"""Number of the term of a program that gains nothing, whose serial share is 1."""
_CANDIDATES = ((0,), (0, 1), (_FLAT,), (0, 2), (0, 1, 2), (_FLAT, 2))
"""Terms of the laws that are tried: without serial part, with some, all serial; then the same with coherence. By the
second alone about half of all programs that gain nothing come out with a serial share above 1, which is no law, and
would be left with coherence."""
_LARGEST_EXPONENT = 50.0
_SMALLEST = 1e-4
"""Relative error below which points count as exact: timers are no better."""


def run_of(width: float, wall_s: float, cpu_s: float = 0.0) -> Point:
    """One run."""
    return Point(width=width, runs=1, wall_s=wall_s, wall_s2=wall_s * wall_s, cpu_s=cpu_s)


def added(points: Iterable[Point]) -> list[Point]:
    """Points of equal width made one, the narrowest first. What is no possible run is left out."""
    sums: dict[float, list[float]] = defaultdict(lambda: [0.0] * 4)
    for point in points:
        if point.runs > 0 and 0 < point.width < inf and 0 < point.wall_s < inf:
            here = (point.runs, point.wall_s, point.wall_s2, point.cpu_s)
            sums[point.width] = [old + new for old, new in zip(sums[point.width], here, strict=True)]
    return [
        Point(width=width, runs=int(runs), wall_s=wall, wall_s2=wall2, cpu_s=cpu)
        for width, (runs, wall, wall2, cpu) in sorted(sums.items())
    ]


class Curve(Message, frozen=True, kw_only=True):
    """A fitted law. `one` is T1 in seconds; `error` the relative error of a point (root of the mean square)."""

    law: Law
    one: float
    serial: float
    coherence: float = 0.0
    error: float
    narrowest: float
    widest: float
    """Widths between which it was measured; beyond them it is a guess."""
    runs: int
    covariance: list[list[float]] = []
    """Of the coefficients of n T(n) over 1, (n - 1), n (n - 1), as far as the points can tell them; also of one that
    the law does without, as that it is zero is not certain."""
    freedom: int = 1
    """Degrees of freedom that `covariance` rests on: runs less fitted coefficients."""
    free: list[float] = []
    """Those coefficients as they come out where all of them are fitted and any sign is allowed: the law's own are these
    made possible, which draws them to one side, so the band lies around these."""

    def wall(self, width: float) -> float:
        """Seconds of one unit of work with so many CPUs; below one CPU it runs that much slower."""
        if width < 1:
            return self.one / max(width, 1e-9)
        return self.one * (1 + self.serial * (width - 1) + self.coherence * width * (width - 1)) / width

    def speed(self, width: float) -> float:
        """Units of work a second."""
        return 1 / self.wall(width)

    def speedup(self, width: float) -> float:
        """How many times as fast as with one CPU."""
        return self.one / self.wall(width)

    def deviation(self, width: float) -> float:
        """Standard error of `wall` at this width, in seconds, as the points' scatter gives it."""
        base = max(width, 1.0)
        row = _row(base, len(self.covariance))
        variance = sum(x * y * self.covariance[i][j] for i, x in enumerate(row) for j, y in enumerate(row))
        return sqrt(max(0.0, variance)) / base * (base / width)

    def band(self, width: float) -> tuple[float, float]:
        """Between what the speed-up at this width lies with 95 % confidence. It is never more than the width."""
        found = self.speedup(width)
        row = _row(width, len(self.free))
        whole = sum(c * x for c, x in zip(self.free, row, strict=True))
        if width <= 1 or not self.free:
            return found, found
        if not (whole > 0 and self.free[0] > 0):
            return 0.0, max(found, width)
        slopes = [(1 / self.free[0] if n == 0 else 0.0) - x / whole for n, x in enumerate(row)]
        variance = sum(x * y * self.covariance[i][j] for i, x in enumerate(slopes) for j, y in enumerate(slopes))
        spread = quantile(self.freedom) * sqrt(max(0.0, variance)) if variance < inf else _LARGEST_EXPONENT
        factor = exp(min(_LARGEST_EXPONENT, spread))
        middle = width * self.free[0] / whole
        return min(found, middle / factor), max(found, min(middle * factor, width))

    @property
    def peak(self) -> float:
        """The width beyond which more CPUs make it slower; infinite where there is none."""
        if self.coherence <= 0:
            return inf
        return max(1.0, sqrt(max(0.0, (1 - self.serial) / self.coherence)))


def fit(points: Iterable[Point]) -> Curve | None:
    """The law that fits best; None where the points are too few to tell, which means: treat all programs alike."""
    known = added(points)
    if len(_wide(known)) < LEAST_WIDTHS or sum(point.runs for point in known) < LEAST_RUNS:
        return None
    fits = [found for terms in _CANDIDATES if (found := _least_squares(known, terms))]
    best = min(fits, key=lambda found: found.criterion, default=None)
    return _curve(known, best) if best else None


class _Fit(Message, frozen=True, kw_only=True):
    terms: list[int]
    coefficients: list[float]
    square: float
    """Mean square of the relative errors."""
    criterion: float


def _least_squares(points: Sequence[Point], terms: Sequence[int]) -> _Fit | None:
    """Coefficients of these terms; None where they cannot be told, or are no law (negative, or serial beyond 1)."""
    inverse = _inverse(_normal(points, terms))
    if len(points) < len(terms) or inverse is None:
        return None
    runs = sum(point.runs for point in points)
    rows, weights = _rows(points, terms), _weights(points)
    found = _solved(points, terms, inverse)
    whole = dict(zip(terms, found, strict=True))
    if not found[0] > 0 or not all(value >= 0 for value in found[1:]) or whole.get(1, 0.0) > found[0]:
        return None
    errors = [1 - sum(c * x for c, x in zip(found, row, strict=True)) for row in rows]
    # Scatter within a width is an error as well: without it two widths would always be explained exactly.
    within = sum(max(0, p.runs - 1) * (p.spread / p.mean) ** 2 for p in points)
    square = (sum(w * e * e for w, e in zip(weights, errors, strict=True)) / len(points)) + within / runs
    square = max(square, _SMALLEST**2)
    if not square < inf:
        return None
    return _Fit(terms=list(terms), coefficients=found, square=square, criterion=_criterion(runs, len(terms), square))


def _criterion(runs: int, terms: int, square: float) -> float:
    parameters = terms + 1
    spare = runs - parameters - 1
    return inf if spare <= 0 and terms > 2 else runs * log(square) + 2 * parameters * runs / max(spare, 0.5)


def _curve(points: Sequence[Point], found: _Fit) -> Curve:
    values = dict(zip(found.terms, found.coefficients, strict=True))
    one, runs = values.get(_FLAT) or values[0], sum(point.runs for point in points)
    free, covariance = _free(points, found)
    return Curve(
        law="usl" if 2 in values else "amdahl",
        one=one,
        serial=1.0 if _FLAT in values else values.get(1, 0.0) / one,
        coherence=values.get(2, 0.0) / one,
        error=sqrt(found.square),
        narrowest=points[0].width,
        widest=points[-1].width,
        runs=runs,
        covariance=covariance,
        freedom=max(1, runs - len(found.terms)),
        free=free,
    )


def _free(points: Sequence[Point], found: _Fit) -> tuple[list[float], list[list[float]]]:
    """All coefficients that the points can tell, fitted with any sign, and their covariance. Also of one that the law
    does without: that it is zero is not certain."""
    freedom = max(1, sum(point.runs for point in points) - len(found.terms))
    for size in (3, 2):
        inverse = _inverse(_normal(points, range(size))) if len(_wide(points)) >= size else None
        if inverse is not None:
            scale = found.square / freedom * len(points)
            return _solved(points, range(size), inverse), [[scale * value for value in row] for row in inverse]
    return [], []


def _wide(points: Iterable[Point]) -> set[float]:
    """The widths by which a law can be told."""
    return {max(point.width, 1.0) for point in points}


def _solved(points: Sequence[Point], terms: Sequence[int], inverse: list[list[float]]) -> list[float]:
    rows, weights = _rows(points, terms), _weights(points)
    right = [sum(w * r[i] for w, r in zip(weights, rows, strict=True)) for i in range(len(terms))]
    return [sum(x * y for x, y in zip(row, right, strict=True)) for row in inverse]


def _normal(points: Sequence[Point], terms: Sequence[int]) -> list[list[float]]:
    rows, weights = _rows(points, terms), _weights(points)
    return [
        [sum(w * r[i] * r[j] for w, r in zip(weights, rows, strict=True)) for j in range(len(terms))]
        for i in range(len(terms))
    ]


def _rows(points: Sequence[Point], terms: Sequence[int]) -> list[list[float]]:
    return [[_row(max(p.width, 1.0), 4)[term] / _target(p) for term in terms] for p in points]


def _weights(points: Sequence[Point]) -> list[float]:
    runs = sum(point.runs for point in points)
    return [point.runs / runs * len(points) for point in points]


def _row(width: float, size: int) -> list[float]:
    return [1.0, width - 1, width * (width - 1), width][:size]


def _target(point: Point) -> float:
    """n T(n); below one CPU what it would be with one, as it only waits."""
    return point.mean * point.width


def _inverse(matrix: list[list[float]]) -> list[list[float]] | None:
    """By Gauss and Jordan; None where it has none."""
    size = len(matrix)
    rows = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        if abs(rows[pivot][column]) < 1e-12 * max(1e-300, *(abs(x) for x in matrix[pivot])):
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for other in range(size):
            if other != column:
                factor = rows[other][column]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[column], strict=True)]
    found = [row[size:] for row in rows]
    return found if all(isfinite(value) for row in found for value in row) else None
