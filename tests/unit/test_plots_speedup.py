"""Plots of speed-up and of load are drawn for whatever was measured: well-formed, all of it in the picture."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import Point
from dockercomp.protocol.speedup import run_of
from dockercomp.protocol.speedup_view import view_of
from dockercomp.protocol.views import LoadSample, LoadSeries
from server.plots import loads, speedups
from server.plots.reading import CannotPlot

_PLACES = ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "d", "width", "height")


def sound(picture: str) -> ElementTree.Element:
    """Well-formed, and all that is drawn lies within the picture."""
    root = ElementTree.fromstring(picture)
    for element in root.iter():
        for name in _PLACES:
            for number in re.findall(r"-?[\w.]+", element.get(name, "").replace("M", " ").replace("L", " ")):
                if number != "Z":
                    assert -1 <= float(number.rstrip("Z")) <= 2000, (element.tag, element.attrib)
    return root


RUNS = st.builds(run_of, st.floats(1e-9, 1e12), st.floats(1e-9, 1e12), st.floats(0, 1e12))


@given(st.lists(RUNS, min_size=1, max_size=40))
def test_whatever_was_measured_is_drawn(points: list[Point]) -> None:
    plot = speedups.draw(view_of("j1", "map", "4 CPUs, <a & b>", points))
    sound(plot.svg)
    assert plot.summary and len(plot.csv.splitlines()) > 1


@pytest.mark.parametrize(
    "points",
    [
        [run_of(1, 1.0)],
        [run_of(2, 5.0)] * 30,
        [run_of(w, 5.0) for w in (1, 2, 4) for _ in range(5)],
        [run_of(w / 20, 20 / w) for w in range(1, 65)] * 3,
        [run_of(1, 1e-9), run_of(2, 1e12), run_of(4, 1e-9)],
    ],
    ids=["one", "equal", "flat", "many", "far apart"],
)
def test_odd_points_are_drawn(points: list[Point]) -> None:
    sound(speedups.draw(view_of("j1", "map", "k", points)).svg)


def test_a_plot_shows_points_band_curve_and_the_ideal_line() -> None:
    points = [run_of(w, 10 * (0.1 + 0.9 / w) * n) for w in (1, 2, 4, 8) for n in (0.97, 1.0, 1.03)]
    plot = speedups.draw(view_of("j1", "map", "8 CPUs", points))
    root = sound(plot.svg)
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags.count("circle") == 4 and tags.count("path") == 2
    assert any(element.get("stroke-dasharray") for element in root.iter())
    assert plot.csv.splitlines()[0].startswith("stage,machine,cpus,runs,wall_s")
    assert "serial" in plot.summary


def series(*samples: tuple[int, float]) -> LoadSeries:
    return LoadSeries(
        client="c1",
        cpus=4,
        samples=[
            LoadSample(
                at=f"2026-03-{1 + m // 1440:02}T{m // 60 % 24:02}:{m % 60:02}:00Z",
                load=v,
                cpus_used=v / 2,
                memory_used=int(v),
            )
            for m, v in samples
        ],
    )


@given(
    st.dictionaries(st.integers(0, 7 * 1440 - 1), st.one_of(st.just(0.0), st.floats(1e-9, 1e12)), min_size=1),
    st.sampled_from(["cpus", "memory"]),
)
def test_whatever_the_load_was_is_drawn(values: dict[int, float], what: loads.What) -> None:
    plot = loads.draw(series(*sorted(values.items())), what)
    sound(plot.svg)
    assert len(plot.csv.splitlines()) == len(values) + 1


def test_a_silence_breaks_the_line_and_no_sample_is_said() -> None:
    whole = loads.draw(series((1, 1.0), (2, 1.5), (3, 1.0)), "cpus").svg
    broken = loads.draw(series((1, 1.0), (2, 1.5), (60, 1.0), (61, 1.2)), "cpus").svg
    assert (whole.count("<path"), broken.count("<path")) == (2, 4)
    with pytest.raises(CannotPlot, match="no sample"):
        loads.draw(series(), "cpus")
