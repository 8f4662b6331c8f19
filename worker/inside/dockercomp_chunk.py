"""For a program inside a container, as far as it likes: report progress, read the allocation, keep a checkpoint.

    import dockercomp_chunk as chunk

    state = chunk.load_checkpoint()            # bytes, or None at the first start
    chunk.progress(0.25, "reading")            # shown to people
    chunk.save_checkpoint(b"...")              # the chunk goes on from here if its container or worker dies
    chunk.allocation().width                   # threads to use, as it is now; it may change while the chunk runs

Without a worker around it nothing happens: progress and checkpoints go nowhere, the allocation is the machine. Standard
library only, any python3 from 3.6 on. Other languages do the same with files:

    $DC_PROGRESS      write one line to it: a fraction from 0 to 1 and a message, both optional
    $DC_CHECKPOINT    read it when you begin, if it is there; write another file in /tmp and rename it to this name
    $DC_ALLOCATION    lines of a word and a value: dockercomp-allocation 1, change N, cpus CORES, memory BYTES, width N,
                      cpuset LIST; replaced whole, never torn; `change` grows with each change. Pass over other words

Pools of processes that follow the allocation are in dockercomp_pool, of threads in C in dockercomp.h.
"""

import collections
import os
import time

__all__ = ["Allocation", "allocation", "load_checkpoint", "progress", "save_checkpoint"]

LARGEST_CHECKPOINT = 64 * 1024 * 1024
"""Bytes; a larger one is not kept."""
_SHORTEST_PAUSE = 0.2
_last = [float("-inf")]

Allocation = collections.namedtuple("Allocation", "cpus memory change width cpuset")
Allocation.__doc__ = """What the container has now: `cpus` in cores, `memory` in bytes, how often it was changed,
`width`, the threads or processes that keep these busy, and `cpuset`, the CPUs it is pinned to (`0-3`; empty: any)."""


def progress(fraction, message=""):
    """Say how far the chunk is: `fraction` from 0 to 1, or None where only the message is known. May be called as
    often as one likes: most calls cost next to nothing."""
    place, now = os.environ.get("DC_PROGRESS"), time.monotonic()
    if not place or now - _last[0] < _SHORTEST_PAUSE:
        return
    _last[0] = now
    known = "" if fraction is None else "%.4f " % min(1.0, max(0.0, float(fraction)))
    _replace(place, (known + " ".join(str(message).split()) + "\n").encode("utf-8", "replace")[:500])


def allocation():
    """What this container may use now; without a worker the machine, as far as this process may use it, with the width
    that DC_WIDTH asks for if it does."""
    try:
        with open(os.environ["DC_ALLOCATION"], "rb") as file:
            return _parsed(file.read(4096).decode("ascii"))
    except (KeyError, OSError, ValueError):
        return _machine()


def _parsed(text):
    """Raises KeyError or ValueError where it is not one that this version can read."""
    found = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    if found["dockercomp-allocation"] != "1":
        raise ValueError("an allocation of another version")
    cpus, memory = float(found["cpus"]), int(found["memory"])
    width = int(found["width"]) if "width" in found else max(1, int(cpus + 0.5))
    return Allocation(cpus, memory, int(found.get("change", 0)), width, found.get("cpuset", ""))


def _machine():
    try:
        cpus = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        cpus = os.cpu_count() or 1
    asked = os.environ.get("DC_WIDTH", "")
    width = int(asked) if asked.isdigit() and int(asked) else cpus
    return Allocation(float(cpus), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 0, width, "")


def save_checkpoint(data):
    """Keep `data` (bytes, at most LARGEST_CHECKPOINT): it is what load_checkpoint gives when this chunk is run again
    after its container or its worker died. Picked up within a second or so. Raises ValueError where it is too large."""
    if len(data) > LARGEST_CHECKPOINT:
        raise ValueError("a checkpoint of %d bytes is not kept: at most %d" % (len(data), LARGEST_CHECKPOINT))
    place = os.environ.get("DC_CHECKPOINT")
    if place:
        _replace(place, data)


def load_checkpoint():
    """The last checkpoint that was saved of this chunk; None where there is none."""
    try:
        with open(os.environ["DC_CHECKPOINT"], "rb") as file:
            return file.read()
    except (KeyError, OSError):
        return None


def _replace(place, data):
    made = "%s.%d" % (place, os.getpid())
    try:
        with open(made, "wb") as file:
            file.write(data)
        os.replace(made, place)
    except OSError:  # scratch is full, say: the chunk itself goes on
        try:
            os.unlink(made)
        except OSError:
            pass
