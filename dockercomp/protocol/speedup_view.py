"""What is said of how a job speeds up: the fitted curve with its band, and one sentence. Pure, the same on a page, on
the command line and wherever else it is shown.
"""

from collections.abc import Sequence
from math import inf, sqrt

from .messages import Point
from .speedup import LEAST_RUNS, LEAST_WIDTHS, added, fit
from .student import quantile
from .views import SpeedupView

_STEPS = 32
"""Of the drawn curve."""


def view_of(job: str, stage: str, kind: str, points: Sequence[Point], *, earlier_runs: int = 0) -> SpeedupView:
    """What these points tell; `earlier_runs` of their runs are those of earlier jobs of the same recipe."""
    known = added(points)
    view = SpeedupView(
        job=job,
        stage=stage,
        kind=kind,
        points=known,
        runs=sum(point.runs for point in known),
        earlier_runs=earlier_runs,
    )
    curve = fit(known)
    if curve is None:
        return view
    step = (curve.widest - curve.narrowest) / _STEPS
    widths = sorted({*(curve.narrowest + n * step for n in range(_STEPS)), *(point.width for point in known)})
    bands = [curve.band(width) for width in widths]
    return SpeedupView(
        job=job,
        stage=stage,
        kind=kind,
        points=known,
        law=curve.law,
        serial=curve.serial,
        coherence=curve.coherence,
        error=curve.error,
        one_s=curve.one,
        widths=widths,
        speedup=[curve.speedup(width) for width in widths],
        low=[low for low, _ in bands],
        high=[high for _, high in bands],
        runs=view.runs,
        earlier_runs=earlier_runs,
    )


def mean_band(point: Point) -> tuple[float, float]:
    """Between what a run's mean wall seconds lie with 95 % confidence; infinitely wide where one run tells nothing."""
    if point.runs < 2:
        return 0.0, inf
    half = quantile(point.runs - 1) * point.spread / sqrt(point.runs)
    return max(0.0, point.mean - half), point.mean + half


def in_words(view: SpeedupView) -> str:
    """One sentence, without a stop: the law, and how far runs lie from it; or why there is none yet."""
    return f"{_law(view)}; {_error(view)}" if view.law else f"{_why_none(view)}; until then it counts like any other"


def _law(view: SpeedupView) -> str:
    if view.law == "usl":
        peak = sqrt(max(0.0, 1 - view.serial) / view.coherence) if view.coherence > 0 else inf
        end = f", so that more than {_number(peak)} CPUs make it slower" if 1 <= peak < 1e6 else ""
        return (
            f"the universal scalability law: contention {_percent(view.serial)}, coherence"
            f" {_percent(view.coherence)}{end}"
        )
    if view.serial < 1e-6:
        return "Amdahl's law: no serial part was found, so that it runs as many times as fast as it has CPUs"
    most = f"no number of CPUs makes it more than {_number(1 / view.serial)} times as fast as one"
    return f"Amdahl's law: {_percent(view.serial)} of the work is serial, so that {most}"


def _error(view: SpeedupView) -> str:
    widths = f"{_number(view.widths[0])} to {_number(view.widths[-1])} CPUs"
    return f"a run lies {_percent(view.error)} from it (root mean square of {view.runs:,} runs with {widths})"


def _why_none(view: SpeedupView) -> str:
    wide = {max(point.width, 1.0) for point in view.points}
    if not view.points:
        return "no run has had one width from its begin to its end yet"
    if len(wide) < LEAST_WIDTHS:
        only = f"{_number(view.points[-1].width)} CPUs" if len(view.points) == 1 else "at most one CPU"
        return f"all {view.runs:,} runs had {only}, and two widths of one CPU or more are needed to tell a law"
    if view.runs < LEAST_RUNS:
        return f"{view.runs} runs are too few to tell a law, {LEAST_RUNS} are needed"
    return "no law of speed-up fits these runs"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"
