"""The kinds of clients that a simulated pool is made of: what each of them answers for a chunk. Pure.

An answer is a word: TRUTH, or a lie. Two lies are equal only where their tellers share them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

TRUTH = "truth"
SLEEPS = 100
"""Results after which a sleeper turns bad."""


class Behaviour(Protocol):
    """How a client answers. `seen` are the answers that others have given for this chunk so far."""

    def answer(self, chunk: int, seen: list[str]) -> str | None:
        """None: it never returns this chunk, and its lease ends."""

    slow: bool
    """Whether its leases end before it returns anything."""


@dataclass
class Honest:
    slow: bool = False

    def answer(self, chunk: int, seen: list[str]) -> str | None:
        return TRUTH


@dataclass
class Liar:
    """Lies in a share `rate` of its results, each time otherwise."""

    random: Random
    rate: float
    after: int = 0
    """Results that it gives honestly first."""
    slow: bool = False
    given: int = field(default=0, init=False)

    def answer(self, chunk: int, seen: list[str]) -> str | None:
        self.given += 1
        if self.given <= self.after or self.random.random() >= self.rate:
            return TRUTH
        return f"lie {self.random.getrandbits(64):x}"


@dataclass
class Colluder:
    """Lies in a share `rate` of the chunks, the same ones and in the same words as its fellows."""

    rate: float
    salt: int
    slow: bool = False

    def answer(self, chunk: int, seen: list[str]) -> str | None:
        agreed = Random(f"{self.salt} {chunk}").random() < self.rate
        return f"agreed lie {self.salt}" if agreed else TRUTH


@dataclass
class Copier:
    """Computes nothing: repeats what it could overhear of others, else guesses."""

    random: Random
    slow: bool = False

    def answer(self, chunk: int, seen: list[str]) -> str | None:
        return seen[-1] if seen else f"guess {self.random.getrandbits(64):x}"


@dataclass
class Silent:
    """Takes work and returns nothing."""

    slow: bool = True

    def answer(self, chunk: int, seen: list[str]) -> str | None:
        return None


KINDS = ("liars", "sleepers", "colluders", "copiers", "late", "silent")


def saboteur(kind: str, rate: float, random: Random, salt: int) -> Behaviour:
    """One client of a kind; `rate` is the share of lies of those kinds that lie at times. Raises KeyError."""
    makers: dict[str, Callable[[], Behaviour]] = {
        "liars": lambda: Liar(random, rate),
        "sleepers": lambda: Liar(random, rate, after=SLEEPS),
        "colluders": lambda: Colluder(rate, salt),
        "copiers": lambda: Copier(random),
        "late": lambda: Honest(slow=True),
        "silent": Silent,
    }
    return makers[kind]()
