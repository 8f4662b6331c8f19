"""JSON by structure: one value, several after each other, or one a line. Keys in any order, numbers by tolerance."""

import io
import json
import math
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from dockercomp.protocol.orders import VerifySpec

from .malformed import Malformed, quoted
from .tolerance import Tolerance, close, tolerance_of

MOST_MEMORY = 128 * 2**20
"""Bytes that a value may take in memory, as estimated: of small objects it is 30 times their text."""

_BLANK = re.compile(r"[ \t\r\n]*")
_NO_VALUE = object()


def difference(spec: VerifySpec, a: bytes, b: bytes) -> str:
    allowed = tolerance_of(spec)
    for number, (ours, theirs) in enumerate(zip_longest(_values(a), _values(b), fillvalue=_NO_VALUE), 1):
        if ours is _NO_VALUE or theirs is _NO_VALUE:
            return f"one has {number - 1} values, the other more"
        found = _first(ours, theirs, allowed)
        if found:
            return found if number == 1 else f"value {number}: {found}"
    return ""


def _values(data: bytes) -> Iterator[Any]:
    """Raises Malformed. A value a line is read line by line, with flat memory."""
    for text in _texts(data):
        at = _skip(text, 0)
        while at < len(text):
            try:
                value, at = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                raise Malformed(f"is no JSON: {error}") from error
            yield value
            at = _skip(text, at)


def _texts(data: bytes) -> Iterator[str]:
    """The whole at once, or, where that is too much, its lines, one value each."""
    try:
        if _cost(data) <= MOST_MEMORY:
            yield data.decode()
            return
        for line in io.BytesIO(data):
            if _cost(line) > MOST_MEMORY:
                raise Malformed("has a JSON value too large to be read: only the same bytes are equal")
            yield line.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"is no JSON: {error}") from error


def _cost(text: bytes) -> int:
    """Bytes in memory, at most about: those of Python's dicts, lists and numbers, and of characters at their widest."""
    return 240 * text.count(b"{") + 90 * text.count(b"[") + 40 * text.count(b",") + 5 * len(text)


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _number(word: str) -> float:
    found = float(word)
    if math.isinf(found):
        raise ValueError(f"{word[:40]} is too large for a number")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number)


def _first(a: Any, b: Any, allowed: Tolerance) -> str:
    """The first difference of two values; empty where there is none. No recursion: values may be nested deeply."""
    waiting = [iter([("", a, b)])]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        path, ours, theirs = found
        where = f"at {path or 'the top'}"
        if isinstance(ours, dict) and isinstance(theirs, dict):
            only = sorted(ours.keys() ^ theirs.keys())
            if only:
                return f"{where} only one has the key {quoted(only[0])}"
            waiting.append(_of_objects(path, ours, theirs))
        elif isinstance(ours, list) and isinstance(theirs, list):
            if len(ours) != len(theirs):
                return f"{where} one list has {len(ours)} entries, the other {len(theirs)}"
            waiting.append(_of_lists(path, ours, theirs))
        elif not _same(ours, theirs, allowed):
            return f"{where}: {quoted(ours)} and {quoted(theirs)}"
    return ""


def _of_objects(path: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    return ((f"{path}.{key}", value, b[key]) for key, value in a.items())


def _of_lists(path: str, a: list[Any], b: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    return ((f"{path}[{n}]", value, twin) for n, (value, twin) in enumerate(zip(a, b, strict=True)))


def _same(a: Any, b: Any, allowed: Tolerance) -> bool:
    if _is_number(a) and _is_number(b):
        return close(a, b, allowed)
    return type(a) is type(b) and bool(a == b)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
