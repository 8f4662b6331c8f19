"""Words between blanks and commas: numbers by tolerance, the others the same. Where lines end does not matter."""

import re
from itertools import zip_longest

from dockercomp.protocol.orders import VerifySpec

from .malformed import quoted
from .tolerance import same_word, tolerance_of

_WORD = re.compile(rb"[^\s,]+|,")
"""A comma is a word of its own, so that an empty cell stays one."""


def difference(spec: VerifySpec, a: bytes, b: bytes) -> str:
    allowed = tolerance_of(spec)
    for place, (ours, theirs) in enumerate(zip_longest(_WORD.finditer(a), _WORD.finditer(b)), 1):
        if ours is None or theirs is None:
            return f"one has {place - 1} words and commas, the other more"
        x, y = ours[0], theirs[0]
        if x != y and not same_word(_text(x), _text(y), allowed):
            return f"word {place} is {quoted(_text(x))} in one and {quoted(_text(y))} in the other"
    return ""


def _text(word: bytes) -> str:
    return word.decode(errors="surrogateescape")
