"""Trying again: the one rule of how long to wait for Docker or the master."""

import itertools
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSES = (1.0, 2.0, 5.0, 10.0)
"""Seconds between tries; the last one repeats."""


_ENOUGH = 60
"""Doublings beyond which every pause is the longest; a thousand would be more than a number holds."""


def backoff(first: float, longest: float, tries: int) -> float:
    """Seconds until what failed is tried again: `first`, doubled by each of `tries`, at most `longest`."""
    return min(longest, first * 2.0 ** min(tries, _ENOUGH))


class GivenUp(Exception):
    """It is not wanted any more."""


def patiently(
    action: Callable[[], T], errors: tuple[type[Exception], ...], go_on: Callable[[float, Exception], bool]
) -> T:
    """The answer of `action`, tried again upon `errors` for as long as `go_on` waits the pause it is given.

    Raises GivenUp when `go_on` says no, and whatever else `action` raises.
    """
    for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
        try:
            return action()
        except errors as error:
            if not go_on(pause, error):
                raise GivenUp from error
    raise AssertionError
