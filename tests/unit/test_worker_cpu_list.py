"""Lists of CPUs, as Linux writes and reads them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import cpu_list


@pytest.mark.parametrize(
    ("text", "numbers"), [("", set()), ("0\n", {0}), ("0-3,8", {0, 1, 2, 3, 8}), ("1,1-2", {1, 2})]
)
def test_lists_are_read(text: str, numbers: set[int]) -> None:
    assert cpu_list.parse(text) == numbers


@pytest.mark.parametrize("text", ["a", "3-1", "-1", "0-", "0,,1", "0-99999999"])
def test_what_is_no_list_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|is not a list"):
        cpu_list.parse(text)


@given(st.sets(st.integers(0, 512)))
def test_what_is_written_reads_the_same(numbers: set[int]) -> None:
    assert cpu_list.parse(cpu_list.written(numbers)) == numbers


def test_a_machine_that_does_not_say_has_none(tmp_path: Path) -> None:
    assert cpu_list.online(tmp_path / "nothing") == frozenset()
