"""Which reducer a key falls to, and in what order lines are sorted: the same on every worker. Pure."""

from zlib import crc32

TAB, NEWLINE = b"\t", b"\n"


def key_of(line: bytes) -> bytes:
    """The key of a line: what stands before its first TAB, or all of it. Its line end does not count."""
    return line.rstrip(b"\r\n").split(TAB, 1)[0]


def partition(line: bytes, partitions: int) -> int:
    """The reducer, 0 … partitions - 1, of a line: CRC-32 (ISO 3309, as in zlib) of its key modulo `partitions`."""
    return crc32(key_of(line)) % partitions
