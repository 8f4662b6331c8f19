"""Declared plots: tables are read in every form that reducers write, points stand where they belong, SVG is valid."""

import base64
import io
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dockercomp.protocol.orders import PlotSpec
from server.plots import scale, svg
from server.plots.drawing import Plot, draw
from server.plots.reading import MOST_ROWS, CannotPlot, read

NS = "{http://www.w3.org/2000/svg}"


def bar(data: str, **options: object) -> Plot:
    return draw(PlotSpec(kind="bar", **options), data.encode())  # type: ignore[arg-type]


def texts(plot: Plot) -> list[str]:
    return [element.text or "" for element in ET.fromstring(plot.svg).iter(f"{NS}text")]


def told(plot: Plot) -> list[ET.Element]:
    """The bars."""
    return [each for each in ET.fromstring(plot.svg).iter(f"{NS}rect") if each.find(f"{NS}title") is not None]


@pytest.mark.parametrize(
    "data",
    [
        "en\t12\nde\t3\n",
        "lang\tcount\nen\t12\nde\t3\n",
        "lang,count\nen,12\nde,3\n",
        '"lang","count"\r\n"en","12"\r\n"de","3"\r\n',
        "lang;count\nen;12\nde;3\n",
        "  en 12\n  de  3\n",
        '{"en": 12, "de": 3}',
        '{"lang": ["en", "de"], "count": [12, 3]}',
        '[{"lang": "en", "count": 12}, {"lang": "de", "count": 3}]',
        '{"lang": "en", "count": 12}\n{"lang": "de", "count": 3}\n',
        '[["en", 12], ["de", 3]]',
        "\ufefflang,count\nen,12\nde,3",
        "lang,count\nen,12\nlang,count\nde,3\n",
    ],
)
def test_every_form_of_table_gives_the_same_bars(data: str) -> None:
    plot = bar(data)
    assert plot.csv.splitlines()[1:] == ["en,12", "de,3"]
    high, low = (float(each.get("height", "")) for each in told(plot))
    assert high == pytest.approx(4 * low, abs=0.05)


def test_columns_are_chosen_by_name_or_number_and_rows_sorted_and_cut() -> None:
    data = "carrier,flights,delay\nAA,5,1.5\nUA,9,-2\nDL,7,\n"
    assert bar(data, y=["delay"], sort="y").csv == "carrier,delay\nAA,1.5\nUA,-2\nDL,\n"
    assert bar(data, x="2", y=["3"], sort="x", top=2).csv == "flights,delay\n5,1.5\n7,\n"
    assert bar(data, y=["flights", "delay"]).csv.splitlines()[0] == "carrier,flights,delay"


def test_a_bar_below_zero_hangs_from_the_zero_line() -> None:
    up, down = told(bar("a\t10\nb\t-5\n"))
    base = float(up.get("y", "")) + float(up.get("height", ""))
    assert float(down.get("y", "")) == pytest.approx(base, abs=0.02)
    assert float(up.get("height", "")) == pytest.approx(2 * float(down.get("height", "")), abs=0.05)


def test_names_without_room_below_lie_beside_their_bars_and_are_legible_whole() -> None:
    names = ["日本語のとても長いラベル", "العربية", "a name of several words", "ไทย", "русский"] * 3
    plot = bar("".join(f"{name} {number}\t{number}\n" for number, name in enumerate(names)), title="Языки")
    shown = texts(plot)
    assert "Языки" in shown
    for number, name in enumerate(names):
        assert f"{name} {number}" in shown


def test_a_line_goes_through_its_points_and_breaks_at_gaps() -> None:
    plot = draw(PlotSpec(kind="line"), b"x,y\n0,0\n1,10\n2,\n3,10\n4,0\n")
    first, second = (each.get("d", "") for each in ET.fromstring(plot.svg).iter(f"{NS}path"))
    (x0, y0), (x1, y1) = (map(float, spot.split()) for spot in first[1:].split("L"))
    assert x0 < x1 and y0 > y1
    assert second.endswith(f" {y0}")


def test_a_line_of_very_many_points_keeps_its_peaks() -> None:
    rows = "".join(f"{n},{1000 if n == 54321 else n % 7}\n" for n in range(MOST_ROWS))
    plot = draw(PlotSpec(kind="line"), f"n,v\n{rows}".encode())
    path = next(ET.fromstring(plot.svg).iter(f"{NS}path")).get("d", "")
    heights = [float(spot.split()[1]) for spot in path[1:].split("L")]
    assert len(heights) < 10_000
    assert min(heights) < 100 < sorted(heights)[1]
    assert plot.csv.count("\n") == MOST_ROWS + 1


def test_dates_become_a_time_axis() -> None:
    data = "".join(f"2013-{month:02d}-01\t{month}\n" for month in range(1, 13))
    shown = texts(draw(PlotSpec(kind="line"), data.encode()))
    assert "2013-03" in shown and "2013-11" in shown


def test_a_histogram_counts_every_value_once() -> None:
    plot = draw(PlotSpec(kind="histogram", bins=4), b"0\n1\n1\n2\n3\n4\nnan\n\n")
    assert plot.csv == "from,to,count\n0,1,1\n1,2,2\n2,3,1\n3,4,2\n"


def picture(mode: str, form: str) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).convert(mode).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize(
    ("mode", "form", "kind"),
    [("RGB", "PNG", "png"), ("RGB", "JPEG", "jpeg"), ("P", "GIF", "gif"), ("RGB", "WEBP", "webp"),
     ("RGB", "PPM", "png"), ("L", "PPM", "png"), ("1", "PPM", "png"), ("I;16", "TIFF", "png"), ("RGB", "BMP", "png")],
)  # fmt: skip
def test_a_picture_is_shown_as_it_is_or_made_a_png(mode: str, form: str, kind: str) -> None:
    plot = draw(PlotSpec(kind="image", title="Seen"), picture(mode, form))
    image = next(ET.fromstring(plot.svg).iter(f"{NS}image"))
    head, data = image.get("href", "").split(",")
    assert head == f"data:image/{kind};base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (40, 30)


def test_a_table_of_numbers_is_shown_as_a_picture() -> None:
    plot = draw(PlotSpec(kind="image"), b"0,1,2\n3,4,5\n")
    assert "3 × 2 numbers, from 0 (dark) to 5.000 (bright)" in plot.summary


@pytest.mark.parametrize(
    ("spec", "data", "says"),
    [
        (PlotSpec(kind="bar"), b"", "is empty"),
        (PlotSpec(kind="bar"), b" \n\n", "is empty"),
        (PlotSpec(kind="bar"), b"\x89PNG\r\n\x1a\n\0\0", "is no table but binary data (it begins with the bytes 89 50"),
        (PlotSpec(kind="bar", y=["delay"]), b"carrier,flights\nAA,1\n", "has no column 'delay'; its columns are"),
        (PlotSpec(kind="bar", y=["3"]), b"carrier,flights\nAA,1\n", "has no column '3'"),
        (PlotSpec(kind="line"), b"a,1\nb,two\n", "has 'two' in column 2, which is no number"),
        (PlotSpec(kind="bar"), b"a,b\nc,d\n", "has 'b' in column 2, which is no number"),
        (PlotSpec(kind="histogram"), b"v\nnan\n", "has 'v' in column 1, which is no number"),
        (PlotSpec(kind="line"), b"a,nan\nb,inf\n", "has no number in column 2"),
        (PlotSpec(kind="line"), b"a\t1e308\nb\t-1e308\n", "has numbers too far apart to be drawn"),
        (PlotSpec(kind="bar"), b'{"a": [1], "b": 2}', "is JSON, but no object of numbers"),
        (PlotSpec(kind="bar"), b'{"a": ', "begins like JSON but is none, nor JSON lines"),
        (PlotSpec(kind="bar"), b"[" * 100_000, "begins like JSON but is none, nor JSON lines"),
        (PlotSpec(kind="image"), b"\x89PNG\r\n\x1a\nbroken", "begins like a picture but is none"),
        (PlotSpec(kind="image"), b"a word\n", "is neither a picture"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_drawn_says_why(spec: PlotSpec, data: bytes, says: str) -> None:
    with pytest.raises(CannotPlot) as refused:
        draw(spec, data)
    assert str(refused.value).startswith(says)


def test_very_much_data_is_read_in_part() -> None:
    wide = ",".join("1" * 1000) + "\n"
    assert len(read((wide * 4000).encode()).rows) <= 1000
    with pytest.raises(CannotPlot, match="JSON of more than 4 MiB"):
        read(b'{"a":' + b" " * (5 << 20) + b"1}")
    with pytest.raises(CannotPlot, match="6000 × 6000 pixels: too large"):
        draw(PlotSpec(kind="image"), b"P1 6000 6000 " + b"1" * 100)


def test_of_data_that_is_cut_off_only_whole_lines_are_read() -> None:
    assert read(b"a\t1\nb\t2", whole=False).rows == [["a", "1"]]
    assert read(b"a\t1\nb\t2").rows == [["a", "1"], ["b", "2"]]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=60), st.floats(-1e9, 1e9), st.floats(-1, 1)), min_size=1, max_size=30),
    st.sampled_from(["bar", "line"]),
    st.text(max_size=100),
)
def test_any_names_and_numbers_give_valid_xml_with_every_point_inside(
    rows: list[tuple[str, float, float]], kind: str, title: str
) -> None:
    names = [svg.clean(name).replace('"', "'") for name, _, _ in rows]
    data = "".join(f'"{name}",{a!r},{b!r}\n' for name, (_, a, b) in zip(names, rows, strict=True))
    spec = PlotSpec(kind=kind, title=title, y=["2", "3"])  # type: ignore[arg-type]
    plot = draw(spec, f"name,a,b\n{data}".encode())
    root = ET.fromstring(plot.svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for each in root.iter(f"{NS}rect"):
        x, y, w, h = (float(each.get(key, "")) for key in ("x", "y", "width", "height"))
        assert x >= -0.1 and x + w <= width + 0.1 and y >= -0.1 and y + h <= height + 0.1
    assert plot.csv.count("\n") == len(rows) + 1


@given(st.text())
def test_shortened_text_fits(words: str) -> None:
    assert svg.width_of(svg.shortened(words, 100)) <= 100.01
    assert all(svg.width_of(line) <= 100.01 for line in svg.wrapped(words, 100))


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_ticks_are_few_round_and_within(a: float, b: float) -> None:
    low, high = scale.extent([a, b])
    found = scale.ticks(low, high)
    span = high - low
    assert len(found) <= 30
    assert all(low - span * 1e-6 <= tick.at <= high + span * 1e-6 for tick in found)
    out_low, out_high = scale.rounded_out(low, high)
    assert out_low <= low + span * 1e-6 and out_high >= high - span * 1e-6


@given(st.floats(-6e10, 2e11), st.floats(1, 1e11))
def test_marks_of_times_lie_within(low: float, span: float) -> None:
    found = scale.time_ticks(low, low + span)
    assert len(found) <= 30
    assert all(low <= tick.at <= low + span for tick in found)
