"""Mixes of programs: the generator, the simulated machine, and what they leave. No containers."""

import csv
import io
import itertools
import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import report
from bench.mixes import curves, generator, programs, record, simulated
from bench.mixes.curves import BODYTRACK, FLUIDANIMATE, PUBLISHED, Table
from bench.mixes.simulator import IN_FLIGHT, Machine, Overcommit, Policy, Timing, gain, makespan
from bench.rows import row, write
from dockercomp.protocol.speedup import Curve

NAMES = ("a", "b", "c", "d")


def test_a_seed_gives_the_same_mix_again_and_another_one_does_not() -> None:
    assert generator.mix(7, 50, NAMES) == generator.mix(7, 50, NAMES)
    assert generator.mix(7, 50, NAMES) != generator.mix(8, 50, NAMES)


def test_a_shorter_mix_is_the_beginning_of_a_longer_one() -> None:
    assert generator.mix(7, 50, NAMES)[:20] == generator.mix(7, 20, NAMES)


def test_arrivals_are_exponential_and_sizes_lognormal() -> None:
    items = generator.mix(1, 20_000, NAMES, median=3.0, mean_gap_s=0.5, spread=0.5)
    gaps = [after.arrives_s - before.arrives_s for before, after in itertools.pairwise(items)]
    assert items[0].arrives_s == 0
    assert mean(gaps) == pytest.approx(0.5, rel=0.03)
    assert sum(gap > 0.5 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)  # 1 / e
    assert median(item.size for item in items) == pytest.approx(3.0, rel=0.03)
    assert sum(item.size > 3 * 2.718**0.5 for item in items) / len(items) == pytest.approx(0.159, abs=0.02)  # a sigma
    assert all(sum(item.program == name for item in items) > 4_800 for name in NAMES)


@given(st.floats(0.01, 1000), st.floats(0.01, 1000))
def test_a_table_goes_through_its_points_and_no_width_makes_a_program_wait_longer_than_one_narrower_by_half(
    width: float, other: float
) -> None:
    for table in PUBLISHED.values():
        assert all(table.wall(at) == pytest.approx(wall) for at, wall in table.walls)
        assert 0 < table.wall(width) < float("inf")
    low, high = sorted((width, other))
    assert BODYTRACK.wall(high) <= BODYTRACK.wall(low) + 1e-12


def test_the_products_own_fit_follows_the_published_points() -> None:
    fitted = BODYTRACK.fitted()
    assert fitted is not None
    assert all(fitted.wall(width) == pytest.approx(wall, rel=0.04) for width, wall in BODYTRACK.walls)
    assert curves.fitted({1: 1.0}) is None


def test_the_cost_of_overcommitting_is_that_of_the_fluidanimate_points() -> None:
    for threads in (8, 36, 64, 80, 272):
        cost = Overcommit(threads)
        ratio = cost.cost(16 * 256 / threads) / cost.cost(16 * 4 / threads)
        assert ratio == pytest.approx(FLUIDANIMATE.wall(256) / FLUIDANIMATE.wall(4))
        assert cost.cost(1) == cost.cost(0.5) == 1


SIZES = st.lists(st.tuples(st.sampled_from(sorted(PUBLISHED)), st.floats(0.1, 50)), min_size=1, max_size=12)


def _items(drawn: list[tuple[str, float]]) -> list[generator.Item]:
    return [generator.Item(n, program, 0.1 * n, size) for n, (program, size) in enumerate(drawn)]


FITTED: dict[str, Curve] = {name: fit for name, table in PUBLISHED.items() if (fit := table.fitted())}
POLICIES: tuple[Policy, ...] = ("overcommit", "equal", "curve")


@given(SIZES, st.integers(1, 16), st.sampled_from((2, 8, 80)), st.sampled_from(POLICIES))
def test_every_program_runs_once_and_never_more_than_k_at_once(
    drawn: list[tuple[str, float]], in_flight: int, threads: int, policy: Policy
) -> None:
    items = _items(drawn)
    timings = Machine(threads, PUBLISHED, FITTED).run(items, in_flight, policy)
    assert sorted(timing.item.number for timing in timings) == [item.number for item in items]
    assert all(timing.item.arrives_s <= timing.begun_s < timing.ended_s for timing in timings)
    for one in timings:
        others = sum(t.begun_s <= one.begun_s < t.ended_s - 1e-9 for t in timings)
        assert others <= in_flight


@given(SIZES, st.sampled_from(IN_FLIGHT), st.sampled_from((8, 36, 80, 272)))
def test_by_curve_nobody_is_a_tenth_slower_than_at_its_equal_share(
    drawn: list[tuple[str, float]], in_flight: int, threads: int
) -> None:
    timings = Machine(threads, FITTED, FITTED).run(_items(drawn), in_flight, "curve")
    assert all(timing.fair >= 0.9 - 1e-9 for timing in timings)


@pytest.mark.parametrize("in_flight", IN_FLIGHT)
@pytest.mark.parametrize("threads", [36, 80, 272])
def test_by_curve_beats_equal_and_equal_beats_overcommit(threads: int, in_flight: int) -> None:
    items = generator.mix(3, 60, tuple(PUBLISHED), median=100.0, mean_gap_s=0.01)
    machine = Machine(threads, PUBLISHED, FITTED)
    over, equal, curve = (machine.run(items, in_flight, policy) for policy in POLICIES)
    assert gain(over, equal) > 0.05
    assert gain(equal, curve) > 0
    assert min(timing.fair for timing in curve) > 0.88  # the fit is not exactly the table


def test_a_program_alone_loses_nothing_by_overcommitting() -> None:
    machine, items = Machine(80, PUBLISHED, FITTED), [generator.Item(0, "bodytrack", 0.0, 10.0)]
    assert makespan(machine.run(items, 1, "overcommit")) == pytest.approx(makespan(machine.run(items, 1, "equal")))


def test_where_idle_threads_give_way_programs_that_fit_do_not_disturb_each_other() -> None:
    machine = Machine(80, {"half": Table(((1, 1.0), (2, 0.5)))}, {}, Overcommit(80, gives_way=True))
    items = [generator.Item(number, "half", 0.0, 10.0) for number in range(4)]
    assert makespan(machine.run(items, 4, "overcommit")) == pytest.approx(5.0 * machine.overcommit.cost(4))


def test_the_gain_compares_each_program_with_itself() -> None:
    items = generator.mix(1, 2, NAMES)
    fast = [Timing(items[0], 0, 1), Timing(items[1], 0, 2)]
    slow = [Timing(items[1], 5, 9), Timing(items[0], 3, 5)]
    assert gain(slow, fast) == pytest.approx(1.0)


def test_timings_are_a_table_that_others_read_and_a_picture() -> None:
    item = generator.Item(3, "queue", 0.25, 1.5)
    text = record.table(record.TIMED, record.timed(4, "equal", 1, [Timing(item, 0.5, 2.123456)]))
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"k": "4", "policy": "equal", "run": "1", "number": "3", "program": "queue", "size_s": "1.5",
         "arrives_s": "0.25", "begun_s": "0.5", "ended_s": "2.1235", "wall_s": "1.6235"}
    ]  # fmt: skip
    drawn = record.picture("a & b", "k,equal\n2,1\n4,3\n", x="k", y=["equal"], x_label="in flight", y_label="s")
    assert ET.fromstring(drawn).tag.endswith("svg")
    one = record.picture("one", "k,equal\n2,1\n", x="k", y=["equal"], x_label="in flight", y_label="s")
    assert ET.fromstring(one).tag.endswith("svg")


def test_the_simulators_rows_stand_beside_the_published_ones() -> None:
    measured = simulated.measured(1, FITTED, quick=True)
    found = {(each.system, each.variant, each.metric): each.median for each in measured.rows}
    for k, published in ((2, 0.15), (4, 0.23), (8, 0.29), (16, 0.45)):
        assert found["published", f"K = {k}", "equal_gain"] == published
        assert found["simulator", f"80 threads, K = {k}, measured on 80", "equal_gain"] > 0
        assert found["simulator", f"272 threads, K = {k}, published curves", "worst_slowdown"] <= 0.1
    assert {".simulated.csv", ".simulated.svg"} == set(measured.files)


def test_figures_replace_the_tables_of_their_benchmark_and_leave_the_rest(tmp_path: Path) -> None:
    rows = [
        row("dockercomp", "20 clients", "verified_p95_s", "s", [1.25]),
        row("dockercomp", "20 clients", "restarts", "containers", [0.0]),
        row("docker-update", "by hand", "cgroup_s", "s", [0.07]),
    ]
    write(tmp_path / "control.json", "control", rows)
    blocks = [f"<!-- figures: {name} -->\nold {name}\n<!-- end -->\n" for name in report.FIGURES]
    found = report.filled("before\n" + "\nbetween\n".join(blocks) + "after\n", tmp_path)
    assert "old control" not in found and "| 20 clients |" in found and "1.25 s" in found and "0.07 s" in found
    assert all(f"old {name}\n" in found for name in report.FIGURES if name != "control")
    assert found.startswith("before\n") and found.endswith("after\n")
    assert report.filled(found, tmp_path) == found


def test_the_page_has_a_place_for_every_figure() -> None:
    page = report.PAGE.read_text()
    assert all(f"<!-- figures: {name} -->\n" in page for name in report.FIGURES)
    assert page.count("<!-- figures: ") == page.count("<!-- end -->") == len(report.FIGURES)


def test_all_figures_of_a_mix_are_drawn_from_its_rows() -> None:
    measured = simulated.measured(1, FITTED, quick=True).rows
    found = {(each.system, each.variant, each.metric): each for each in measured}
    assert report.simulated(found).count("\n") == 2 + 1 + 2 + 2 * 4
    assert report.curve(found).count("slowdown") == 2 * 4 * 4
    assert "**15%**" in report.simulated(found)


def test_the_programs_of_a_mix_give_the_same_at_any_width(tmp_path: Path) -> None:
    programs.build(tmp_path / "job")
    for name in programs.NAMES:
        said = [
            subprocess.run(
                [str(tmp_path / "job" / name), "12"],
                env={**os.environ, "DC_WIDTH": str(width)},
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
            for width in (1, 3)
        ]
        assert said[0] == said[1] != b""
    wrong = subprocess.run([str(tmp_path / "job" / "queue"), "none"], stderr=subprocess.PIPE, check=False)
    assert wrong.returncode == 2 and b"usage" in wrong.stderr
