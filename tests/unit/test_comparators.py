"""When two results are equal: the laws that every comparator keeps, and the documented answers of each."""

import io
import json
import math
import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from dockercomp.protocol import bundle
from dockercomp.protocol.orders import ColumnRule, VerifySpec
from server import comparators
from server.comparators import image, json_values, table
from server.comparators.tolerance import Tolerance, close, doubles_apart

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
COMPARATORS = ("bytes", "lines", "json", "numbers", "csv", "image")


def same(compare: str, a: bytes | str, b: bytes | str, **rules: object) -> bool:
    spec = VerifySpec(compare=compare, **rules)  # type: ignore[arg-type]
    x, y = (each.encode() if isinstance(each, str) else each for each in (a, b))
    found = comparators.equal(spec, x, y)
    assert comparators.equal(spec, y, x) is found, "not symmetric"
    return found


def picture(mode: str = "RGB", size: tuple[int, int] = (3, 2), fill: object = 7, fmt: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, fill).save(out, fmt)  # type: ignore[arg-type]
    return out.getvalue()


# --- laws ------------------------------------------------------------------------------------------------------------

words = st.one_of(
    st.floats(width=64).map(repr), st.integers().map(str), st.sampled_from(["", "nan", "-inf", "abc", "é", "1e999"])
)
json_tree = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
documents = st.one_of(
    st.binary(max_size=40),
    st.lists(words, max_size=8).map(lambda found: ",".join(found).encode()),
    st.lists(words, max_size=8).map(lambda found: ("a,b\n" + "\n".join(found)).encode()),
    json_tree.map(lambda tree: json.dumps(tree).encode()),
    st.sampled_from([picture(), picture(fill=9), picture("L"), picture(size=(1, 1)), picture(fmt="GIF")]),
)
specs = st.builds(
    VerifySpec,
    compare=st.sampled_from(COMPARATORS),
    rtol=st.sampled_from([0.0, 1e-9, 0.1]),
    atol=st.sampled_from([0.0, 1e-3, 1e300]),
    ulp=st.sampled_from([0, 1, 1000]),
    pixel=st.sampled_from([0, 2, 255]),
)


@FAST
@given(specs, documents)
def test_every_result_equals_itself(spec: VerifySpec, data: bytes) -> None:
    assert comparators.equal(spec, data, bytes(bytearray(data)))


@FAST
@given(specs, documents, documents)
def test_equality_is_symmetric(spec: VerifySpec, a: bytes, b: bytes) -> None:
    assert comparators.equal(spec, a, b) is comparators.equal(spec, b, a)


@FAST
@given(specs, documents, st.data())
def test_a_truncated_result_never_equals_the_whole(spec: VerifySpec, whole: bytes, data: st.DataObject) -> None:
    assume(whole)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert not comparators.equal(spec, whole, cut)
    assert not comparators.equal(spec, cut, whole)


@FAST
@given(specs, documents)
def test_nothing_equals_an_empty_result_but_another(spec: VerifySpec, data: bytes) -> None:
    assert comparators.equal(spec, data, b"") is (data == b"")


@FAST
@given(specs, documents, documents)
def test_a_difference_is_one_short_sentence(spec: VerifySpec, a: bytes, b: bytes) -> None:
    found = comparators.difference(spec, a, b)
    assert bool(found) is (not comparators.equal(spec, a, b))
    assert len(found) < 400 and "\n" not in found


@FAST
@given(st.floats(), st.floats(), st.builds(Tolerance, st.floats(0, 2), st.floats(0, 2), st.integers(0, 5)))
def test_closeness_is_reflexive_and_symmetric(x: float, y: float, allowed: Tolerance) -> None:
    assert close(x, x, allowed)
    assert close(x, y, allowed) is close(y, x, allowed)


@FAST
@given(json_tree)
def test_json_does_not_care_for_order_of_keys_or_blanks(tree: object) -> None:
    a = json.dumps(tree, sort_keys=True, indent=1) + "\n"
    b = json.dumps(_reversed(tree)) + "\n"
    assert same("json", a, b)


def _reversed(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _reversed(tree[key]) for key in reversed(tree)}
    return [_reversed(each) for each in tree] if isinstance(tree, list) else tree


@FAST
@given(st.lists(st.text("ab\r", max_size=3), max_size=6), st.randoms())
def test_lines_in_any_order(lines: list[str], random: object) -> None:
    mixed = list(lines)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert same("lines", "".join(f"{line}\n" for line in lines), "".join(f"{line}\n" for line in mixed))


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        *((math.nan, math.nan, True), (math.nan, 1.0, False), (math.nan, math.inf, False)),
        *((math.inf, math.inf, True), (math.inf, -math.inf, False), (math.inf, 1.7e308, False), (0.0, -0.0, True)),
        *((100.0, 100.9, True), (100.0, 101.5, False), (10**400, 10**400 + 1, True), (10**400, 2 * 10**400, False)),
        *((10**400, math.inf, False), (10**400, 1.0, False), (1, 1.0, True)),
    ],
)
def test_tolerance(x: float, y: float, expected: bool) -> None:
    allowed = Tolerance(rtol=0.01)
    assert close(x, y, allowed) is close(y, x, allowed) is expected


def test_without_tolerance_integers_beyond_a_double_are_told_apart() -> None:
    assert not close(2**53, 2**53 + 1, Tolerance())
    assert not same("json", "[9007199254740992, 0]", "[9007199254740993, 0]")


def test_ulp_counts_steps_between_doubles() -> None:
    one = struct.unpack("<d", struct.pack("<q", struct.unpack("<q", struct.pack("<d", 1.0))[0] + 3))[0]
    assert doubles_apart(1.0, one) == 3
    assert doubles_apart(-0.0, 0.0) == 0
    assert doubles_apart(-5e-324, 5e-324) == 2
    assert close(1.0, one, Tolerance(ulp=3)) and not close(1.0, one, Tolerance(ulp=2))
    assert not close(1.7976931348623157e308, math.inf, Tolerance(ulp=5))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("x=1 2.50\n", "x=1\t2.5\n", True),  # blanks do not matter, 2.50 is 2.5
        ("1, 2\n", "1,2\n", True),
        ("1,,2\n", "1,2\n", False),  # an empty cell is one
        ("1.0\n", "1.05\n", True),
        ("1.0\n", "1.3\n", False),
        ("a 1.0\n", "b 1.0\n", False),
        ("nan\n", "NaN\n", True),
        ("inf\n", "Infinity\n", True),
        ("inf\n", "-inf\n", False),
        ("1e999\n", "2e999\n", False),  # too large for a double: text
        ("1_0\n", "10\n", False),
        ("٣\n", "3\n", False),
        ("1 2\n", "1 2 3\n", False),
    ],
)
def test_numbers(a: str, b: str, expected: bool) -> None:
    assert same("numbers", a, b, atol=0.1) is expected


# --- lines, json -----------------------------------------------------------------------------------------------------


def test_lines_count_how_often() -> None:
    assert same("lines", "a\nb\nb\n", "b\na\nb\n")
    assert not same("lines", "a\na\nb\n", "b\na\nb\n")
    assert not same("lines", "a\r\nb\n", "b\na\n")
    assert same("lines", b"\xff\n\x00\n", b"\x00\n\xff\n")


def test_the_line_that_differs_is_named() -> None:
    spec = VerifySpec(compare="lines")
    assert comparators.difference(spec, b"a\nb\n", b"b\nc\n") == (
        "the line 'a' stands 1 times more in one than in the other"
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ('{"a": 1, "b": [2]}', '{"b": [2.0], "a": 1.0}', True),
        ('{"a": 1}', '{"a": true}', False),
        ("[1, 2]", "[2, 1]", False),
        ('{"a": null}', "{}", False),
        ('"1"', "1 ", False),
        ("[NaN, Infinity]", "[NaN,Infinity]", True),
        ("[Infinity]", "[-Infinity]", False),
        ("[1e999]", "[2e999]", False),
        ('{"a": 1, "a": 2}', '{"a":1, "a": 2}', False),  # the same key twice: only the same bytes
        ('{"a": 1}\n{"b": 2}\n', '{"a":1}\n{"b":2}\n', True),
        ('{"a": 1}\n{"b": 2}\n', '{"a":1}{"b":2}', True),
        ('{"a": 1}\n{"b": 2}\n', '{"b": 2}\n{"a": 1}\n', False),
        ("[1", "[ 1", False),
        ("[0.30000000000000004]", "[0.3]", True),
        (f"[{'[' * 5000}", f"[ {'[' * 5000}", False),
        (f"{'[' * 900}1{']' * 900}", f"{'[' * 900} 1{']' * 900}", True),
    ],
)
def test_json(a: str, b: str, expected: bool) -> None:
    assert same("json", a, b, rtol=1e-9) is expected


def test_the_place_in_json_is_named() -> None:
    spec = VerifySpec(compare="json")
    found = comparators.difference(spec, b'{"a": {"b": [1, 2]}}', b'{"a": {"b": [1, 3]}}')
    assert found == "at .a.b[1]: 2 and 3"


def test_very_many_json_lines_are_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "MOST_MEMORY", 2000)
    lines = [json.dumps({"n": number, "x": number / 3}) for number in range(100)]
    assert same("json", "\n".join(lines), "\n".join(f" {line}" for line in lines))
    large = json.dumps(list(range(500)))
    assert not same("json", large, f" {large}")  # one value too large to unpack: only the same bytes


# --- csv -------------------------------------------------------------------------------------------------------------


def test_columns_have_rules_of_their_own() -> None:
    rules = {
        "name": ColumnRule(compare="text"),
        "x": ColumnRule(compare="number", rtol=0.01),
        "when": ColumnRule(compare="ignore"),
    }
    a = "name,x,when,other\n1.0,100,now,5\n"
    assert same("csv", a, "name,x,when,other\n1.0,100.5,later,5.0\n", columns=rules)
    assert not same("csv", a, "name,x,when,other\n1,100,now,5\n", columns=rules)
    assert not same("csv", a, "name,x,when,other\n1.0,102,now,5\n", columns=rules)
    assert not same("csv", a, "name,x,when,other\n1.0,100,now,6\n", columns=rules)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ('a,b\n"1",2\n', "a,b\n1,2\n", True),
        ('a\n"x\ny"\n', "a\nx y\n", False),
        ("a,b\r\n1,2\r\n", "a,b\n1,2\n", True),
        ("a\tb\n1.0\tx\n", "a\tb\n1\tx\n", True),
        ("a,b\n1,2\n", "b,a\n2,1\n", False),
        ("a\n1\n2\n", "a\n2\n1\n", False),
        ("a\n1\n", "a\n1,1\n", False),
        ("a\nnan\n", "a\nNaN\n", True),
        ('a\n"1\n', 'a\n "1\n', False),
    ],
)
def test_csv(a: str, b: str, expected: bool) -> None:
    assert same("csv", a, b) is expected


def test_a_rule_for_a_column_that_is_not_there_is_no_licence() -> None:
    rules = {"gone": ColumnRule(compare="ignore")}
    assert not same("csv", "a\n1\n", "a\n1.0\n", columns=rules)
    assert "gone" in comparators.difference(VerifySpec(compare="csv", columns=rules), b"a\n1\n", b"a\n1.0\n")


def test_a_line_too_long_is_compared_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_LONGEST_LINE", 10)
    assert not same("csv", "a\n1,2,3,4,5,6,7\n", "a\n1,2,3,4,5,6,7.0\n")


# --- images ----------------------------------------------------------------------------------------------------------


def test_pixels_may_differ_by_so_much() -> None:
    assert same("image", picture(fill=(7, 7, 7)), picture(fill=(7, 9, 7)), pixel=2)
    assert not same("image", picture(fill=(7, 7, 7)), picture(fill=(7, 10, 7)), pixel=2)


def test_the_same_pixels_in_another_file_format_are_equal() -> None:
    assert same("image", picture(), picture(fmt="BMP"))
    assert same("image", picture("P", fill=0), picture("P", fill=0, fmt="GIF"))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (picture(), picture(size=(2, 3))),
        (picture("L"), picture("RGB")),
        (picture("I;16", fill=300), picture("I;16", fill=301)),
        (picture(), b"no picture at all"),
        (picture()[:-24] + b"\0" * 8, picture(fill=8)),
    ],
)
def test_pictures_that_differ(a: bytes, b: bytes) -> None:
    assert not same("image", a, b, pixel=255)


def test_sixteen_bits_in_another_compression_are_equal() -> None:
    tall = Image.new("I;16", (4, 40), 300)
    small, large = io.BytesIO(), io.BytesIO()
    tall.save(small, "PNG", compress_level=9)
    tall.save(large, "PNG", compress_level=0)
    assert small.getvalue() != large.getvalue()
    assert same("image", small.getvalue(), large.getvalue())


def test_a_picture_that_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MOST_PIXELS", 10)
    a, b = picture("L", (5, 5)), picture("L", (5, 5), fmt="BMP")
    assert not same("image", a, b)
    assert "pixels" in comparators.difference(VerifySpec(compare="image"), a, b)


def test_frames_count() -> None:
    def animation(frames: int) -> bytes:
        out = io.BytesIO()
        shades = [Image.new("L", (4, 4), 40 * number) for number in range(frames)]
        shades[0].save(out, "TIFF", save_all=True, append_images=shades[1:])
        return out.getvalue()

    assert not same("image", animation(2), animation(3))
    assert same("image", animation(3), animation(3) + b"\0junk") is False  # the beginning of the other


# --- bundles ---------------------------------------------------------------------------------------------------------


def test_bundles_are_compared_file_by_file() -> None:
    spec = VerifySpec(compare="numbers", atol=0.1)
    a = bundle.pack([("x", b"1.0\n"), ("y", b"2\n")])
    b = bundle.pack([("x", b"1.01\n"), ("y", b"2.0\n")])
    assert comparators.equal(spec, a, b, bundled=True)
    assert "y: word 1" in comparators.difference(spec, a, bundle.pack([("x", b"1.0\n"), ("y", b"3\n")]), bundled=True)
    assert not comparators.equal(spec, a, bundle.pack([("x", b"1.0\n"), ("z", b"2\n")]), bundled=True)
    assert not comparators.equal(spec, a, a[:-1], bundled=True)
    assert not comparators.equal(spec, a, a + b"0", bundled=True)
    assert not comparators.equal(spec, a, b"no bundle", bundled=True)
    empty = bundle.pack([])
    assert comparators.equal(spec, empty, bytes(bytearray(empty)), bundled=True)


def test_results_too_large_to_compare_are_compared_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparators, "LARGEST", 4)
    assert same("lines", "a\nb\nc\n", "a\nb\nc\n")
    assert not same("lines", "a\nb\nc\n", "c\nb\na\n")


def test_long_lists_are_compared_with_little_memory() -> None:
    """One that costs the sender some megabytes must not cost the master hundreds."""
    numbers = b",".join([b"1"] * 100_000)
    tracemalloc.start()
    found = comparators.difference(VerifySpec(compare="json"), b"[" + numbers + b",2]", b"[" + numbers + b",3]")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == "at [100000]: 2 and 3"
    assert peak < 6 * 2**20


def test_pictures_of_another_size_are_not_decoded() -> None:
    """A small file may unpack to very much."""
    large, small = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(large, "PNG")
    Image.new("RGB", (10, 10)).save(small, "PNG")
    cut = large.getvalue()[:200]
    found = comparators.difference(VerifySpec(compare="image"), cut, small.getvalue())
    assert found == "one is 1000 x 1000 pixels, the other 10 x 10"
