"""Patterns of paths, as in `outputs`: the same answer on every worker and on the master. Pure.

`*`, `?` and `[…]` stand for what they do in a shell, within one name; `**` as a name of its own stands for any folders,
none too. `out/` and `out/**` are everything below `out`.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

_ANY = "**"


def matches(pattern: str, path: str) -> bool:
    """Whether a relative path with `/` between its names is one of the pattern's."""
    wanted = _names(pattern)
    reached = _skipping(wanted, {0})
    for name in path.split("/"):
        stay = {at for at in reached if at < len(wanted) and wanted[at] == _ANY}
        step = {at + 1 for at in reached - stay if at < len(wanted) and fnmatchcase(name, wanted[at])}
        reached = _skipping(wanted, stay | step)
    return len(wanted) in reached


def matching(pattern: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if matches(pattern, path)]


@lru_cache(maxsize=1000)
def _names(pattern: str) -> tuple[str, ...]:
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    if names and (pattern.endswith("/") or names[-1] == _ANY):
        names = [*names[: len(names) - (names[-1] == _ANY)], _ANY, "*"]
    return tuple(names)


def _skipping(wanted: tuple[str, ...], reached: set[int]) -> set[int]:
    """The places in the pattern that are reached also by letting each `**` stand for nothing."""
    found = set(reached)
    for at, name in enumerate(wanted):
        if at in found and name == _ANY:
            found.add(at + 1)
    return found
