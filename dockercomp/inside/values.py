"""Values of Python as JSON and back: what a function returned crosses from a volunteer's machine without pickle.

Equal values of plain data give equal text: sets are sorted, nothing tells of memory. JSON's own null, booleans, numbers
that fit 64 bits, texts and arrays (lists) stand for themselves; anything else is an object with one key, its type.
`encode` runs in the container; `decode` on the scientist's side, and makes nothing but values of these types.
"""

import base64
import collections
import datetime
import decimal
import fractions
import json
import math
import re
import sys
from typing import Any, Callable, Dict, Tuple, Union

PLAIN = (
    "None, bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, range, Fraction, Decimal, Counter,"
    " OrderedDict, deque, the types of datetime, or arrays of numpy"
)

_DTYPE = re.compile(r"[<>|=][biufcSUmM]\d+(\[\w+\])?")
_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class NotPlain(TypeError):
    """A value that cannot be brought back as text."""


class Unreadable(ValueError):
    """A text that `encode` did not make, or a value that this side has no type for."""


def encode(value: Any) -> str:
    """The text of `value`, ASCII without line ends. Raises NotPlain."""
    try:
        return _compact(_plain(value))
    except RecursionError:
        raise NotPlain("what it returned holds itself, or is nested too deeply") from None


def decode(text: Union[str, bytes]) -> Any:
    """The value that `encode` was given. Raises Unreadable."""
    try:
        return value_of(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from None


def value_of(plain: Any) -> Any:
    """The value that a read JSON text stands for. Raises Unreadable."""
    try:
        return _value(plain)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable("the result is none that dockercomp made: %s" % error) from None


def _plain(value: Any) -> Any:
    """`value` in the types of JSON."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is str:
        return _text(value)
    if kind is list:
        return [_plain(item) for item in value]
    if kind in _TYPES:
        name, encoder, _ = _TYPES[kind]
        return {name: encoder(value)}
    return _foreign(value)


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # halves of surrogate pairs, which JSON would join
        return {"str": _base64(value.encode("utf-8", "surrogatepass"))}
    return value


def _foreign(value: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.str_, numpy.bytes_)):
        return _plain(value.item())
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        scalar = isinstance(value, numpy.generic)
        if (scalar or type(value) is numpy.ndarray) and _DTYPE.fullmatch(value.dtype.str):
            data = _base64(value.tobytes())
            return {"numpy": [value.dtype.str, None if scalar else list(value.shape), data]}
        raise NotPlain("it returned a %s of numpy with dtype %s; return numbers" % (type(value).__name__, value.dtype))
    name = "%s.%s" % (type(value).__module__, type(value).__qualname__)
    raise NotPlain("it returned a value of type %s; return plain data: %s" % (name.replace("builtins.", ""), PLAIN))


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    [(name, content)] = plain.items()
    return _DECODERS[name](content)


# --- types with a name of their own --------------------------------------------------------------------------------


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _items(value: Any) -> Any:
    return [_plain(item) for item in value]


def _values(plain: Any) -> Any:
    return [_value(item) for item in plain]


def _sorted(value: Any) -> Any:
    """The members of a set, in the order of their texts."""
    return sorted((_plain(item) for item in value), key=_compact)


def _pairs(value: Any) -> Any:
    return [[_plain(key), _plain(item)] for key, item in value.items()]


def _dict(plain: Any) -> Dict[Any, Any]:
    return {_value(key): _value(item) for key, item in plain}


def _float(text: str) -> float:
    return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text]


def _array(content: Any) -> Any:
    dtype, shape, data = content
    try:
        import numpy  # noqa: PLC0415  (only where a result needs it)
    except ImportError:
        raise Unreadable("the result holds arrays of numpy, which is not installed here: pip install numpy") from None
    if not _DTYPE.fullmatch(dtype):
        raise Unreadable("the result holds an array of the impossible type %r" % dtype)
    found = numpy.frombuffer(_bytes(data), dtype)
    return found[0] if shape is None else found.reshape(shape).copy()


_Codec = Tuple[str, Callable[[Any], Any], Callable[[Any], Any]]

_TYPES: Dict[type, _Codec] = {
    tuple: ("tuple", _items, lambda plain: tuple(_values(plain))),
    dict: ("dict", _pairs, _dict),
    set: ("set", _sorted, lambda plain: set(_values(plain))),
    frozenset: ("frozenset", _sorted, lambda plain: frozenset(_values(plain))),
    bytes: ("bytes", _base64, _bytes),
    bytearray: ("bytearray", _base64, lambda plain: bytearray(_bytes(plain))),
    complex: ("complex", lambda value: _items([value.real, value.imag]), lambda plain: complex(*_values(plain))),
    range: ("range", lambda value: _items([value.start, value.stop, value.step]), lambda plain: range(*_values(plain))),
    fractions.Fraction: (
        "Fraction",
        lambda value: _items([value.numerator, value.denominator]),
        lambda plain: fractions.Fraction(*_values(plain)),
    ),
    decimal.Decimal: ("Decimal", str, decimal.Decimal),
    datetime.datetime: ("datetime", lambda value: value.isoformat(), datetime.datetime.fromisoformat),
    datetime.date: ("date", lambda value: value.isoformat(), datetime.date.fromisoformat),
    datetime.time: ("time", lambda value: value.isoformat(), datetime.time.fromisoformat),
    datetime.timedelta: (
        "timedelta",
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda plain: datetime.timedelta(*plain),
    ),
    collections.Counter: ("Counter", _pairs, lambda plain: collections.Counter(_dict(plain))),
    collections.OrderedDict: ("OrderedDict", _pairs, lambda plain: collections.OrderedDict(_dict(plain).items())),
    collections.defaultdict: ("dict", _pairs, _dict),
    collections.deque: (
        "deque",
        lambda value: [_items(value), value.maxlen],
        lambda plain: collections.deque(_values(plain[0]), plain[1]),
    ),
}

_DECODERS: Dict[str, Callable[[Any], Any]] = {
    **{name: decoder for name, _, decoder in _TYPES.values()},
    "int": lambda text: int(text, 16),
    "float": _float,
    "str": lambda text: _bytes(text).decode("utf-8", "surrogatepass"),
    "numpy": _array,
}
