"""Records of chunks as they are kept: GROUP of them a block, packed; each block is a subtree. Pure, no I/O."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from dockercomp.protocol import merkle
from server.manifests import Manifest

GROUP = 64
"""A power of two: so a block's root is a node of the tree over all records."""


@dataclass(frozen=True)
class Block:
    root: bytes
    packed: bytes


def blocks(records: Iterable[bytes]) -> Iterator[Block]:
    """The records, JSON texts without a line's end, as blocks in order."""
    left = iter(records)
    while group := list(islice(left, GROUP)):
        yield Block(merkle.root([merkle.leaf(record) for record in group]), zlib.compress(b"\n".join(group)))


def records(packed: bytes) -> list[bytes]:
    """Those of one block."""
    return zlib.decompress(packed).split(b"\n")


def span(index: Manifest, place: int) -> tuple[int, int]:
    """Bytes [start, stop) of the block that record `place` is in. `index` lists the blocks: root and packed size."""
    number = place // GROUP
    return index.entry(number - 1)[1] if number else 0, index.entry(number)[1]


def path(index: Manifest, block: list[bytes], place: int) -> list[bytes]:
    """The siblings of record `place`, which is in `block`, up to the root of all."""
    within = merkle.path([merkle.leaf(record) for record in block], place % GROUP)
    return within + merkle.path(roots(index), place // GROUP)


def roots(index: Manifest) -> list[bytes]:
    return [bytes.fromhex(index.entry(number)[0]) for number in range(len(index))]
