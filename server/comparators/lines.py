"""Lines in any order, each as often; with flat memory, however many there are."""

import io
from collections import Counter

from dockercomp.protocol.orders import VerifySpec

from .malformed import quoted

_NAMED_UP_TO = 2**20
"""Bytes of a result up to which a line that differs is looked for and named."""
_WRAP = 2**64


def difference(spec: VerifySpec, a: bytes, b: bytes) -> str:
    if _fingerprint(a) == _fingerprint(b):
        return ""
    if max(len(a), len(b)) > _NAMED_UP_TO:
        return "their lines differ"
    ours, theirs = Counter(a.split(b"\n")), Counter(b.split(b"\n"))
    line, times = next(iter(((ours - theirs) or (theirs - ours)).items()))
    return f"the line {quoted(line.decode(errors='replace'))} stands {times} times more in one than in the other"


def _fingerprint(data: bytes) -> tuple[int, int, int]:
    """Number of lines and two sums of their hashes: the same for the same lines in any order, and otherwise different
    but for a chance of 2^-128, since bytes are hashed with a secret key of this process (SipHash)."""
    count = first = second = 0
    for line in io.BytesIO(data):
        bare = line[:-1] if line.endswith(b"\n") else line
        count, first, second = count + 1, first + hash(bare), second + hash(b"\0" + bare)
    if data.endswith(b"\n"):  # as with split: an empty rest after the last line end
        count, first, second = count + 1, first + hash(b""), second + hash(b"\0")
    return count, first % _WRAP, second % _WRAP
