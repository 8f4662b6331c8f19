"""When two numbers are equal: by absolute, relative or ULP tolerance."""

import math
import re
import struct
from dataclasses import dataclass
from fractions import Fraction

from dockercomp.protocol.orders import ColumnRule, VerifySpec

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NAMED = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_LONGEST = 400
"""Digits of a number; longer words are text."""
_DOUBLE, _BITS = struct.Struct("<d"), struct.Struct("<q")


@dataclass(frozen=True)
class Tolerance:
    """Numbers x, y are equal where |x - y| <= atol + rtol * max(|x|, |y|), or where y is at most `ulp` doubles away."""

    rtol: float = 0.0
    atol: float = 0.0
    ulp: int = 0


def tolerance_of(rule: VerifySpec | ColumnRule) -> Tolerance:
    return Tolerance(rule.rtol, rule.atol, rule.ulp)


def close(x: float, y: float, allowed: Tolerance) -> bool:
    """Whether two numbers (int or float) are equal. NaN equals NaN; an infinity equals only itself."""
    if x == y:
        return True
    if not (_finite(x) and _finite(y)):
        return _nan(x) and _nan(y)
    try:
        near = abs(x - y) <= allowed.atol + allowed.rtol * max(abs(x), abs(y))
        return near or (allowed.ulp > 0 and doubles_apart(float(x), float(y)) <= allowed.ulp)
    except OverflowError:  # an integer beyond the largest double
        return _near_exactly(x, y, allowed)


def doubles_apart(x: float, y: float) -> int:
    """How many steps from one double to the next lead from x to y; both finite."""
    return abs(_rank(x) - _rank(y))


def number(word: str) -> float | None:
    """The number that a word is, as an int where it is a whole one; None where it is text.

    What is too large for a double is text, so that it equals no infinity.
    """
    if len(word) > _LONGEST:
        return None
    if _NUMBER.fullmatch(word):
        if word.lstrip("+-").isdigit():
            return int(word)
        found = float(word)
        return found if math.isfinite(found) else None
    return float(word) if _NAMED.fullmatch(word) else None


def same_word(a: str, b: str, allowed: Tolerance) -> bool:
    """Two words: the same, or two numbers that are close."""
    if a == b:
        return True
    x, y = number(a), number(b)
    return x is not None and y is not None and close(x, y, allowed)


def _finite(x: float) -> bool:
    return isinstance(x, int) or math.isfinite(x)


def _nan(x: float) -> bool:
    return isinstance(x, float) and math.isnan(x)


def _near_exactly(x: float, y: float, allowed: Tolerance) -> bool:
    if not (math.isfinite(allowed.atol) and math.isfinite(allowed.rtol)):
        return False
    p, q = Fraction(x), Fraction(y)
    return abs(p - q) <= Fraction(allowed.atol) + Fraction(allowed.rtol) * max(abs(p), abs(q))


def _rank(x: float) -> int:
    """Doubles in order, as consecutive integers; -0.0 and 0.0 are one (IEEE 754: sign and magnitude)."""
    bits = int(_BITS.unpack(_DOUBLE.pack(x))[0])
    return bits if bits >= 0 else -(bits + 2**63)
