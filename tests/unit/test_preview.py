"""Previews: what kind of thing a result is, from its first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dashboard.preview import LOOK, preview
from tests.unit.test_plots import picture


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"en\t12\nde\t3\n", "table"),
        (b"a\tb\n", "table"),
        (b"lang,count\nen,12\nde,3\n", "table"),
        (b'name;n\n"a;b";1\n', "table"),
        (b"pi is 3.14159, near enough\nand so on, and on\n", "text"),
        (b"one, two\n", "text"),
        (b'{"en": 12, "de": 3}\n', "text"),
        ("Größe: 5 µm\n".encode(), "text"),
        (b"\x1b[32mgreen\x1b[0m\n", "text"),
        ("Größe".encode("latin-1"), "binary"),
        (b"\0\1\2", "binary"),
        (picture("RGB", "PNG"), "picture"),
        (picture("L", "PPM"), "picture"),
        (picture("I;16", "TIFF"), "picture"),
        (b"P1 is the first process\n", "text"),
        (b"BMW 3\n", "text"),
    ],
)
def test_kinds(data: bytes, kind: str) -> None:
    assert preview(data[:LOOK], len(data)).kind == kind


def test_a_character_cut_in_two_is_still_text() -> None:
    data = ("é" * LOOK).encode()
    seen = preview(data[: LOOK - 1], len(data))
    assert seen.kind == "text" and not seen.whole


def test_a_small_text_is_shown_whole_and_a_large_one_says_that_it_is_not() -> None:
    assert preview(b"1\n2\n", 4).text == "1\n2"
    assert preview(b"1\n2\n", 4).whole
    assert not preview(b"x\n" * 100, 200).whole
    assert len(preview(b"x" * 5000, 5000).text) < 400


def test_binary_is_shown_as_hexadecimal_with_what_is_printable() -> None:
    assert preview(b"\0AB\xff", 4).text == f"0000  {'00 41 42 ff':<47}  .AB."


@given(st.binary(max_size=3000))
def test_anything_has_a_preview(data: bytes) -> None:
    assert preview(data, len(data)).size == len(data)
