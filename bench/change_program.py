"""Runs inside the container. Works without end in one pool, and says when there are as many processes as a new width
says: `WIDTH NANOSECONDS`. With an argument it only says how many nanoseconds a look at the allocation takes."""

import itertools
import multiprocessing
import sys
import time

import dockercomp_chunk  # type: ignore[import-not-found]
from dockercomp_pool import Pool  # type: ignore[import-not-found]

LOOKS = 5_000


def work(number: int) -> int:
    """A piece of about 1 ms."""
    until = time.monotonic() + 0.001
    while time.monotonic() < until:
        pass
    return number


def main() -> None:
    if len(sys.argv) > 1:
        begun = time.monotonic()
        for _ in range(LOOKS):
            dockercomp_chunk.allocation()
        print(int((time.monotonic() - begun) * 1e9) // LOOKS)
        return
    pool, told = Pool(), 0
    for _ in pool.imap(work, itertools.count()):
        width = pool.width
        if width != told and len(multiprocessing.active_children()) == width:
            told = width
            print(width, int(time.monotonic() * 1e9), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
