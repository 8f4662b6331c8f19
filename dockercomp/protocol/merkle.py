"""A Merkle tree over records (RFC 9162, section 2.1): one hash for all of them, and proofs that one belongs.

    leaf = SHA-256(0x00, record)    node = SHA-256(0x01, left, right)

The left subtree of n > 1 leaves has the largest power of two of leaves below n. Groups of 2^k records that lie on
multiples of 2^k are therefore subtrees: their roots suffice to find the root and any path above them. Pure: no I/O.
"""

import hashlib
from collections.abc import Sequence

LONGEST_PATH = 64


def leaf(record: bytes) -> bytes:
    return hashlib.sha256(b"\0" + record).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The hash of a tree over leaves, or over the roots of equally large groups of leaves (the last may be smaller)."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    level = list(hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(hashes: Sequence[bytes], place: int) -> list[bytes]:
    """The siblings on the way from hash number `place` up to the root, the lowest first."""
    found: list[bytes] = []
    level = list(hashes)
    while len(level) > 1:
        if place ^ 1 < len(level):
            found.append(level[place ^ 1])
        level, place = _above(level), place >> 1
    return found


def leads_to(start: bytes, place: int, leaves: int, siblings: Sequence[bytes], top: bytes) -> bool:
    """Whether the leaf `start`, number `place` of `leaves`, is in the tree with the root `top` (RFC 9162, 2.1.3.2)."""
    if not 0 <= place < leaves or len(siblings) > LONGEST_PATH:
        return False
    found, last = start, leaves - 1
    for sibling in siblings:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node(sibling, found)
            while place & 1 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == top


def _above(level: list[bytes]) -> list[bytes]:
    """The next level; one without a partner goes up as it is."""
    paired = [node(level[n], level[n + 1]) for n in range(0, len(level) - 1, 2)]
    return paired + level[-1:] if len(level) % 2 else paired
