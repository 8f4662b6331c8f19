"""What the simulator says, as rows: an equal split over overcommit, beside what was published; by curve over equal."""

from collections.abc import Mapping, Sequence

from bench.mixes import generator, record
from bench.mixes.curves import PUBLISHED, Held, Scaling
from bench.mixes.simulator import (
    IN_FLIGHT,
    MACHINES,
    PUBLISHED_GAIN,
    Machine,
    Overcommit,
    Timing,
    gain,
)
from bench.rows import Measured, Row, row
from dockercomp.protocol.speedup import Curve

PROGRAMS, QUICK_PROGRAMS = 160, 24
MEDIAN_S = 100.0
"""Of a program with one CPU; only ratios are told."""
_GAP_S = 0.01
_MIDDLE = Overcommit().measured_on
ASSUMED = (Overcommit(36), Overcommit(_MIDDLE), Overcommit(272), Overcommit(_MIDDLE, gives_way=True))
"""What the cost of overcommitting may rest on: 36 stands for all machines of up to 64 threads."""
_SEEDS = 3


def measured(seed: int, here: Mapping[str, Curve], *, quick: bool = False) -> Measured:
    """Rows over machines and K; `here` are the curves that were fitted on this machine."""
    count, seeds = (QUICK_PROGRAMS, 1) if quick else (PROGRAMS, _SEEDS)
    known = {name: table.fitted() for name, table in PUBLISHED.items()}
    published = [
        generator.mix(seed + n, count, tuple(PUBLISHED), median=MEDIAN_S, mean_gap_s=_GAP_S) for n in range(seeds)
    ]
    rows = [row("published", f"K = {k}", "equal_gain", "", [PUBLISHED_GAIN[k]]) for k in IN_FLIGHT]
    drawn = []
    for assumed in ASSUMED:
        for threads in MACHINES if assumed.measured_on == _MIDDLE else (_MIDDLE,):
            rows += _equal(Machine(threads, PUBLISHED, known, assumed), published)
    for k in IN_FLIGHT:
        found = {each.variant: each.median for each in rows if each.metric == "equal_gain"}
        drawn.append((k, PUBLISHED_GAIN[k], *(found[_named(Machine(_MIDDLE, {}, {}, each), k)] for each in ASSUMED)))
    rows += _curve("published curves", PUBLISHED, known, published)
    everything: dict[str, Scaling] = {**PUBLISHED, **{name: Held(law) for name, law in here.items()}}
    mixed = [
        generator.mix(seed + n, count, tuple(everything), median=MEDIAN_S, mean_gap_s=_GAP_S) for n in range(seeds)
    ]
    rows += _curve("and those measured here", everything, {**known, **here}, mixed)
    names = ("k", "published", *(_assumption(each) for each in ASSUMED))
    table = record.table(names, drawn)
    picture = record.picture(
        "Gain of an equal split over overcommit, 80 threads", table, x="k", y=names[1:],
        x_label="programs in flight", y_label="longer under overcommit",
    )  # fmt: skip
    return Measured(rows, {".simulated.csv": table, ".simulated.svg": picture})


def _equal(machine: Machine, mixes: Sequence[Sequence[generator.Item]]) -> list[Row]:
    found = []
    for k in IN_FLIGHT:
        gains = [gain(machine.run(items, k, "overcommit"), machine.run(items, k, "equal")) for items in mixes]
        found.append(row("simulator", _named(machine, k), "equal_gain", "", gains))
    return found


def _curve(
    name: str,
    true: Mapping[str, Scaling],
    known: Mapping[str, Curve | None],
    mixes: Sequence[Sequence[generator.Item]],
) -> list[Row]:
    found = []
    for threads in MACHINES:
        machine = Machine(threads, true, known)
        for k in IN_FLIGHT:
            variant = f"{threads} threads, K = {k}, {name}"
            pairs = [(machine.run(items, k, "equal"), machine.run(items, k, "curve")) for items in mixes]
            found += [
                row("simulator", variant, "curve_gain", "", [gain(equal, curve) for equal, curve in pairs]),
                row("simulator", variant, "worst_slowdown", "", [_worst(curve) for _, curve in pairs]),
            ]
    return found


def _worst(timings: Sequence[Timing]) -> float:
    """By how much the program that lost most was slower than at its equal share: 0.1 is a tenth. 0: none was."""
    return max(0.0, 1 - min(timing.fair for timing in timings))


def _assumption(assumed: Overcommit) -> str:
    return f"measured on {assumed.measured_on}{' and idle threads give way' if assumed.gives_way else ''}"


def _named(machine: Machine, k: int) -> str:
    return f"{machine.threads} threads, K = {k}, {_assumption(machine.overcommit)}"
