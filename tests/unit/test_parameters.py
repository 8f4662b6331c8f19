"""Combinations of a product by their number: those of itertools.product, and no list of all is ever made."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.parameters import combination, lines, text

VALUES = st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))
PARAMETERS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.lists(VALUES, min_size=1, max_size=4), max_size=4
)


@given(PARAMETERS)
def test_combinations_are_those_of_itertools(parameters: dict[str, list[str | int | float | bool]]) -> None:
    expected = [dict(zip(parameters, values, strict=True)) for values in itertools.product(*parameters.values())]
    assert [combination(parameters, number) for number in range(len(expected))] == expected
    assert [json.loads(line) for line in lines(parameters, 0, len(expected))] == expected


def test_a_number_among_very_many_is_found_at_once() -> None:
    parameters = {name: list(range(1000)) for name in "abcdef"}
    assert combination(parameters, 123_456_789_012_345_678) == {
        "a": 123, "b": 456, "c": 789, "d": 12, "e": 345, "f": 678
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"), [(True, "true"), (False, "false"), (1, "1"), (0.1, "0.1"), (1e-9, "1e-09"), ("a b", "a b")]
)
def test_values_as_arguments(value: str | int | float | bool, expected: str) -> None:
    assert text(value) == expected
