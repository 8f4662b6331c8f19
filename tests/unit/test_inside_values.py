"""Values as text and back: what a function returned, on its way from a container."""

import collections
import contextlib
import datetime
import enum
import json
import math
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from dockercomp.inside import values
from dockercomp.inside.values import NotPlain, Unreadable, decode, encode

any_text = st.text(st.characters(codec=None))  # lone surrogates too
atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=10**40, max_value=10**60), st.floats(), any_text,
    st.binary(), st.complex_numbers(), st.fractions(), st.decimals(), st.dates(), st.times(), st.timedeltas(),
    st.datetimes(timezones=st.none() | st.just(datetime.timezone(datetime.timedelta(hours=-5, seconds=7)))),
)  # fmt: skip
hashable = st.recursive(
    atoms.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.one_of(st.lists(inner).map(tuple), st.frozensets(inner)),
    max_leaves=5,
)
plain = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(hashable, inner), st.sets(hashable),
        st.lists(inner).map(lambda found: collections.deque(found, len(found))),
        st.dictionaries(hashable, inner).map(collections.OrderedDict), st.binary().map(bytearray),
    ),
    max_leaves=15,
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Equal in type and value, every nan like every other, -0.0 unlike 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (one == other and str(one) == str(other))
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple | collections.deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and encode(one) == encode(other)
    return bool(one == other)


@given(plain)
def test_whatever_is_plain_comes_back_as_it_was(value: Any) -> None:
    text = encode(value)
    assert text.isascii() and "\n" not in text
    assert same(decode(text), value)
    assert same(decode(text.encode()), value)


def test_the_largest_numbers_travel() -> None:
    assert decode(encode([10**6000, -(10**6000), 2**64, -(2**63) - 1])) == [10**6000, -(10**6000), 2**64, -(2**63) - 1]


@given(np_st.arrays(
    st.one_of(
        np_st.boolean_dtypes(), np_st.integer_dtypes(endianness="?"), np_st.floating_dtypes(endianness="?"),
        np_st.complex_number_dtypes(), np_st.unicode_string_dtypes(min_len=1), np_st.byte_string_dtypes(min_len=1),
        np_st.datetime64_dtypes(),
    ),
    np_st.array_shapes(min_dims=0, min_side=0),
))  # fmt: skip
def test_arrays_come_back_as_they_were(array: Any) -> None:
    for each in (array, array.T):
        found = decode(encode(each))
        assert (found.dtype, found.shape) == (each.dtype, each.shape)
        assert found.tobytes() == each.tobytes()
        assert found.flags.writeable


@pytest.mark.parametrize("scalar", [np.float64(0.1), np.int8(-3), np.bool_(True), np.datetime64("2020-02-29")])
def test_scalars_of_numpy_keep_their_type(scalar: Any) -> None:
    found = decode(encode(scalar))
    assert type(found) is type(scalar) and found == scalar


@given(st.lists(hashable, min_size=2), st.randoms())
def test_a_set_gives_one_text_in_whatever_order_it_was_filled(members: list[Any], order: random.Random) -> None:
    shuffled = members[:]
    order.shuffle(shuffled)
    unique = {encode(member): member for member in members}
    shuffled = [unique[encode(member)] for member in shuffled]
    assert encode(frozenset(unique.values())) == encode(frozenset(shuffled))


def test_a_text_does_not_change_with_the_hash_seed() -> None:
    program = "from dockercomp.inside.values import encode; print(encode({'a', 'b', ('c', 1), frozenset('def'), None}))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True,
            cwd=Path(values.__file__).parents[2],
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(texts) == 1


def test_a_defaultdict_comes_back_as_a_dict() -> None:
    found = collections.defaultdict(list, {"a": [1]})
    assert type(decode(encode(found))) is dict and decode(encode(found)) == found
    assert type(decode(encode(collections.Counter("aab")))) is collections.Counter


class Point(NamedTuple):
    x: int


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value", [object(), [Point(1)], Colour.RED, {"a": {1: ValueError("x")}}, print, int, np.array([None]), iter([])]
)
def test_anything_else_is_refused_with_what_to_do(value: object) -> None:
    with pytest.raises(NotPlain, match=r"return (plain data: None|numbers)"):
        encode(value)


def test_a_value_within_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotPlain, match="holds itself"):
        encode(value)


junk = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(values._DECODERS)), inner),
)


@given(junk)
def test_what_a_volunteer_makes_up_is_read_or_refused(made_up: Any) -> None:
    with contextlib.suppress(Unreadable):
        decode(json.dumps(made_up))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[1", '{"set": [[]]}', '{"os.system": "id"}', '{"tuple": 1, "list": 2}', '{"Fraction": [1, 0]}',
        '{"numpy": ["|O8", [1], "AAAAAAAAAAA="]}', '{"numpy": ["<f8", [99999999], "AAAAAAAAAAA="]}', "[" * 100_000,
        '{"timedelta": [1e300, 0, 0]}', '{"bytes": "%%%"}', '{"float": "1"}',
    ],
)  # fmt: skip
def test_a_forged_text_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        decode(text)


def test_without_numpy_here_an_array_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = encode(np.zeros(2))
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(Unreadable, match="pip install numpy"):
        decode(text)
