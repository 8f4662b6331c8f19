"""Mixes of programs on one machine: what dividing its CPU does to them.

On this machine, in the worker's own containers: how four programs speed up with width; two programs that split the CPU
by their weights; a random mix with K in flight under overcommit, an equal split and by curve. Beside it a simulator on
larger machines, over published curves and those just measured (bench/mixes/simulator.py says on what it rests).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean

from bench.mixes import generator, programs, record, simulated
from bench.mixes.runner import Runner, needed, split, sweep
from bench.mixes.shelf import Shelf, shelf
from bench.mixes.simulator import IN_FLIGHT, Policy, Timing, gain, makespan
from bench.rows import Measured, Row, row
from dockercomp.protocol.messages import JobPoints, Point
from dockercomp.protocol.speedup import added, fit

SEED = 20261122
WIDTHS = (0.5, 1.0, 1.5, 2.0)
WEIGHTS = ((1, 9), (1, 3), (1, 1), (3, 1), (9, 1))
"""Of two programs that share the machine; each a multiple of 512 on the scale of Size.weight."""
POLICIES: tuple[Policy, ...] = ("overcommit", "equal", "curve")
PROGRAMS = 32
"""Of a mix."""
MEDIAN_S, SWEPT_S, SPLIT_S = 0.75, 1.0, 2.0
"""CPU seconds of a program: the median in a mix, in the sweep, in the split."""
_GAP_S = 0.02
"""Between arrivals: so short that the gate is never without somebody who waits."""
_QUICK = 16
"""So much less work, to see that it works."""

Swept = dict[str, list[Point]]


def rows(
    runs: int, peers: Sequence[str] = (), k: Sequence[int] = IN_FLIGHT, seed: int = SEED, quick: bool = False
) -> Measured:
    """Sweep, split and mix on this machine, then the simulator. There are no peers."""
    less = _QUICK if quick else 1
    with shelf() as found:
        swept, of_sweep = _sweep(found, runs, less)
        of_split = _split(found, runs, less)
        of_mix = _mix(found, runs, k, seed, swept, less)
    curves = {name: curve for name, points in swept.items() if (curve := fit(points))}
    parts = (of_sweep, of_split, of_mix, simulated.measured(seed, curves, quick=quick))
    return Measured(
        [each for part in parts for each in part.rows], {n: t for part in parts for n, t in part.files.items()}
    )


def _sweep(found: Shelf, runs: int, less: int) -> tuple[Swept, Measured]:
    swept: Swept = {}
    measured: list[Row] = []
    for program in programs.NAMES:
        one_by_one = [sweep(found, program, WIDTHS, 1, SWEPT_S / less) for _ in range(runs)]
        swept[program] = added(point for points in one_by_one for point in points)
        for number, width in enumerate(WIDTHS):
            variant, at = f"{program}, width {width:g}", [points[number] for points in one_by_one]
            measured += [
                row("dockercomp", variant, "wall_s", "s", [point.mean for point in at]),
                row("dockercomp", variant, "cpu_s", "s", [point.cpu_s for point in at]),
            ]
        print(f"{program}: " + ", ".join(f"{p.width:g} CPUs {p.mean:.2f} s" for p in swept[program]), flush=True)
    listed = [
        (name, p.width, p.runs, p.mean, p.spread, p.cpu_s / p.runs) for name, points in swept.items() for p in points
    ]
    speedups = record.table(
        ("width", *swept),
        [(width, *(_at(points, 1.0) / _at(points, width) for points in swept.values())) for width in WIDTHS],
    )
    picture = record.picture(
        "Speed-up of four programs", speedups, x="width", y=list(swept), x_label="CPUs", y_label="times one CPU"
    )
    table = record.table(("program", "width", "runs", "wall_s", "deviation_s", "cpu_s"), listed)
    return swept, Measured(measured, {".sweep.csv": table, ".sweep.svg": picture})


def _at(points: Sequence[Point], width: float) -> float:
    return next(point.mean for point in points if point.width == width)


def _split(found: Shelf, runs: int, less: int) -> Measured:
    measured: list[Row] = []
    listed = []
    for weights in WEIGHTS:
        ends = [split(found, "blackscholes", (512 * weights[0], 512 * weights[1]), SPLIT_S / less) for _ in range(runs)]
        variant = f"split {weights[0]}:{weights[1]}"
        totals = [max(end) for end in ends]
        measured += [
            row("dockercomp", variant, "total_s", "s", totals),
            row("dockercomp", variant, "one_s", "s", [end[0] for end in ends]),
            row("dockercomp", variant, "other_s", "s", [end[1] for end in ends]),
        ]
        one, other = mean(end[0] for end in ends), mean(end[1] for end in ends)
        listed.append((variant, one, other, mean(totals)))
        print(f"{variant}: {measured[-2].median:.2f} s and {measured[-1].median:.2f} s", flush=True)
    return Measured(measured, {".split.csv": record.table(("variant", "one_s", "other_s", "total_s"), listed)})


def _mix(found: Shelf, runs: int, ks: Sequence[int], seed: int, swept: Swept, less: int) -> Measured:
    items = generator.mix(
        seed, max(4, PROGRAMS // less), programs.NAMES, median=MEDIAN_S / less, mean_gap_s=_GAP_S / less
    )
    known = [JobPoints(job=program, stage=0, points=points) for program, points in swept.items()]
    measured: list[Row] = []
    listed, means = [], []
    for k in ks:
        found.warm(needed(items, k))
        timings: dict[str, list[list[Timing]]] = defaultdict(list)
        for run in range(runs):
            for policy in POLICIES:
                timings[policy].append(Runner(found, k, policy, known).run(items))
                listed += record.timed(k, policy, run, timings[policy][-1])
        measured += _rows_of(k, timings)
        walls_s = [mean(t.wall_s for run in timings[policy] for t in run) for policy in POLICIES]
        means.append((k, *walls_s))
        said = ", ".join(f"{policy} {wall:.2f}" for policy, wall in zip(POLICIES, walls_s, strict=True))
        print(f"K = {k}: mean wall seconds {said}", flush=True)
    walls = record.table(("k", *POLICIES), means)
    picture = record.picture(
        "A random mix of four programs", walls, x="k", y=POLICIES, x_label="programs in flight", y_label="mean seconds"
    )
    return Measured(measured, {".mix.csv": record.table(record.TIMED, listed), ".mix.svg": picture})


def _rows_of(k: int, timings: Mapping[str, Sequence[Sequence[Timing]]]) -> list[Row]:
    measured = []
    for policy, runs in timings.items():
        variant = f"K = {k}, {policy}"
        measured += [
            row("dockercomp", variant, "makespan_s", "s", [makespan(run) for run in runs]),
            row("dockercomp", variant, "mean_wall_s", "s", [mean(t.wall_s for t in run) for run in runs]),
        ]
    for slow, fast in (("overcommit", "equal"), ("equal", "curve")):
        pairs = list(zip(timings[slow], timings[fast], strict=True))
        variant = f"K = {k}, {fast} over {slow}"
        measured += [
            row("dockercomp", variant, "gain", "", [gain(*pair) for pair in pairs]),
            row("dockercomp", variant, "makespan_gain", "", [makespan(s) / makespan(f) - 1 for s, f in pairs]),
            row("dockercomp", variant, "worst_program", "", [_worst(s, f) for s, f in pairs]),
        ]
    return measured


def _worst(slow: Sequence[Timing], fast: Sequence[Timing]) -> float:
    """Of the kind of program that gains least: its mean wall time in `fast` over that in `slow`; above 1 it loses."""

    def means(timings: Sequence[Timing]) -> dict[str, float]:
        kinds: dict[str, list[float]] = defaultdict(list)
        for timing in timings:
            kinds[timing.item.program].append(timing.wall_s)
        return {kind: mean(walls) for kind, walls in kinds.items()}

    before, after = means(slow), means(fast)
    return max(after[kind] / before[kind] for kind in before)
