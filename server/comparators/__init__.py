"""When two results count as equal, by the job's declaration: pure, no I/O.

    bytes     the same bytes
    lines     the same lines in any order, each as often
    json      the same structure; keys in any order, numbers by tolerance; also several values or JSON lines
    numbers   words between blanks and commas; numbers by tolerance, other words the same
    csv       the same header, rows and cells; columns by their own rule, others by number or text
    image     the same size and channels; pixels by tolerance

For every one of them: the same bytes are always equal; a result that is the beginning of the other is taken as cut off
and never equal (so nothing equals an empty result but another); and where one of the two cannot be read as what was
declared, only the same bytes are equal. NaN equals NaN, an infinity only itself, and -0.0 equals 0.0.

Equality is symmetric. With tolerances it is not transitive: results are therefore only ever compared with the first one
of each group, which is what is published (see lifecycle.Replica.vote).

A result of several files (a bundle) is compared file by file; the names must be the same.
"""

from dockercomp.protocol import bundle
from dockercomp.protocol.bundle import BadBundle
from dockercomp.protocol.orders import VerifySpec

from . import image, json_values, lines, numbers, table
from .malformed import Malformed

LARGEST = 64 * 2**20
"""Bytes of a result; of larger ones only the same bytes are equal."""

_COMPARATORS = {
    "lines": lines.difference,
    "json": json_values.difference,
    "numbers": numbers.difference,
    "csv": table.difference,
    "image": image.difference,
}


def equal(spec: VerifySpec, a: bytes, b: bytes, *, bundled: bool = False) -> bool:
    """Whether two results agree. `bundled`: they are bundles, compared entry by entry."""
    return not difference(spec, a, b, bundled=bundled)


def difference(spec: VerifySpec, a: bytes, b: bytes, *, bundled: bool = False) -> str:
    """The first difference as a sentence without a stop; empty where the two agree."""
    if a == b:
        return ""
    if spec.compare == "bytes":
        return _first_byte(a, b)
    if max(len(a), len(b)) > LARGEST:
        return f"they differ, and are over {LARGEST >> 20} MiB, where only the same bytes are equal"
    try:
        return _bundles(spec, a, b) if bundled else _plain(spec, a, b)
    except Malformed as error:
        return f"they differ, and one of them {error}"
    except BadBundle as error:
        return f"they differ, and of one the files cannot be told apart: {error}"


def _plain(spec: VerifySpec, a: bytes, b: bytes) -> str:
    if a == b:
        return ""
    if a.startswith(b) or b.startswith(a):
        return f"one ends after {min(len(a), len(b))} bytes, the other goes on"
    return _COMPARATORS[spec.compare](spec, a, b)


def _bundles(spec: VerifySpec, a: bytes, b: bytes) -> str:
    ours, theirs = _entries(a), _entries(b)
    if list(ours) != list(theirs):
        only = sorted(set(ours) ^ set(theirs))
        return f"only one has the file {only[0]}" if only else "their files stand in another order"
    for name, data in ours.items():
        try:
            found = _plain(spec, data, theirs[name])
        except Malformed as error:
            found = f"they differ, and one of them {error}"
        if found:
            return f"{name}: {found}"
    return ""


def _entries(data: bytes) -> dict[str, bytes]:
    """Raises BadBundle, also where data is cut off or goes on after the last file."""
    before = bundle.directory_size(data[: bundle.HEAD])
    found = bundle.entries(data[:before])
    if bundle.size_of(found, before) != len(data):
        raise BadBundle("its size is not what its directory says")
    return {entry.name: data[entry.offset : entry.offset + entry.size] for entry in found}


def _first_byte(a: bytes, b: bytes) -> str:
    low, high = 0, min(len(a), len(b))
    while low < high:  # the longest common beginning, by bisection
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return f"they differ from byte {low} on"
