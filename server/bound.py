"""How wrong a job's result may be: pure rules, no I/O.

A lie is a wrong result that was accepted, or offered, on its client's word alone. Each such result is checked with a
chance of at least f, drawn after it came back, whatever its client does and knows. So the first L lies of a job,
whoever told them and by whatever plan, are found out like L tosses of a coin of at least f: k lies of one client
survive with a chance of at most (1 - f)^k, and at least a binomial of (L, f) is found. Its tail, inverted as by Clopper
and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26 (1934),
here for L where f is known, gives a limit of L that holds for any strategy. A client that was found out has all of its
lies taken back, so the lies known of such clients are subtracted: what remains is that of clients never found out.

Closing checks add a second limit. Each client's m unchecked results are closed by one more check, drawn among them:
with k lies it fails with chance k/m. That n of them failed limits the sum of all k/m as for a Poisson variable
(Hoeffding, "On the distribution of the number of successes in independent trials", 1956: the tails are lighter).

Credibility after spot checks, for liars of a fixed rate: Sarmenta, "Sabotage-tolerance mechanisms for volunteer
computing systems", Future Generation Computer Systems 18 (2002). It is not used here: it says nothing of a client that
was honest until it was trusted.

Not covered: clients that agree on the same wrong answer, such as those of one owner, where one checks the other. Let
`independent` keep replicas apart; what was reached stands in the receipts.
"""

from collections.abc import Callable, Sequence
from math import exp, inf, lgamma, log, log1p, pow, sqrt
from typing import Literal

import msgspec

CONFIDENCE = 0.95
METHOD = "lies found by random checks, binomial tail inverted (Clopper-Pearson 1934), and closing checks (Garwood 1936)"
_TAIL = (1 - CONFIDENCE) / 2
"""Each of the two limits fails with at most this chance, so both hold with CONFIDENCE."""
_MOST = 1e15
_EXACT = 2000
"""Lies found beyond which a limit is taken from the normal distribution: it differs by less than 1 % there."""
_TAIL_SIGMAS = 1.96

Basis = Literal["none", "quorum", "adaptive"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job's checks."""

    basis: Basis
    """The job's policy."""
    accepted: int
    sole: Sequence[int] = ()
    """By client whose word alone some accepted results rest on: how many."""
    chance: float = 1.0
    """The lowest chance of a check that such results had."""
    found: int = 0
    """Lies that checks and canaries found, each client's before it was known as a liar."""
    known: int = 0
    """All wrong results known of the clients that were found out: those found and those that the look back showed."""
    closed: bool = False
    """Whether each client's unchecked results were closed by a check."""
    failed_closings: int = 0


class Bound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The share of wrong accepted chunks, 0 to 1: the estimate, and the interval that holds with CONFIDENCE."""

    share: float
    low: float
    """Always 0: a check is drawn with a chance of f or more, so lies that were found need not stand for others."""
    high: float


def bound(evidence: Evidence) -> Bound:
    """What the checks say of the accepted chunks, against any strategy of liars that do not share their lies."""
    if not evidence.accepted or evidence.basis == "quorum":
        return Bound(share=0.0, low=0.0, high=0.0)
    if evidence.basis == "none":
        return Bound(share=0.0, low=0.0, high=1.0)  # nothing was checked: nothing is known
    here, all_sole = evidence, sum(evidence.sole)
    high = min(all_sole, most_lies(here.found, here.chance) - here.known)
    if here.closed:
        high = min(high, _lies_of(here.sole, _most_mean(here.failed_closings)))
    high = max(0.0, high)
    estimate = here.found / here.chance - here.known if here.chance > 0 else all_sole
    if here.closed:
        estimate = min(estimate, _lies_of(here.sole, here.failed_closings))
    share = min(high, max(0.0, estimate))
    return Bound(share=share / here.accepted, low=0.0, high=high / here.accepted)


def chance_for(target: float, chunks: int) -> float:
    """The chance of a check that keeps the stated share of wrong chunks at `target` in a job of so many `chunks`, as
    long as nobody is found out: 0 to 1. 0 where there is no target; 1 where the target allows less than one chunk."""
    if target <= 0 or chunks <= 0:
        return 0.0
    lies = target * chunks
    return 1.0 if lies < 1 else 1 - exp(log(_TAIL) / lies)


def survival(lies: int, chance: float) -> float:
    """The chance that none of so many lies of one client is checked."""
    return pow(1 - chance, lies)


def worst_expected(chance: float) -> float:
    """The most lies that one client can expect to bring through, however many it tells: the largest k (1 - f)^k, which
    is 1 / (e ln(1 / (1 - f))) at most."""
    return 0.0 if chance >= 1 else inf if chance <= 0 else exp(-1) / -log1p(-chance)


def most_lies(found: int, chance: float) -> float:
    """The most lies that may have been told where so many were found: the largest L for which finding no more was not
    unlikely."""
    if chance <= 0:
        return inf
    if chance >= 1:
        return float(found)
    if found > _EXACT:
        return (found + _TAIL_SIGMAS * sqrt(found) + 3) / chance
    return _last(lambda lies: _at_most(found, lies, chance) >= _TAIL, float(found))


def _most_mean(failed: int) -> float:
    """Upper limit of a Poisson variable's mean after so many events (Garwood, Biometrika 28, 1936)."""
    if failed > _EXACT:
        return failed + _TAIL_SIGMAS * sqrt(failed) + 3
    return _last(lambda mean: _poisson_at_most(failed, mean) >= _TAIL, 0.0, whole=False)


def _lies_of(sole: Sequence[int], clients: float) -> float:
    """Results of so many clients (a fraction counts as such), those with the most."""
    lies = 0.0
    for count in sorted(sole, reverse=True):
        if clients <= 0:
            break
        lies += count * min(1.0, clients)
        clients -= 1
    return lies


def _last(holds: Callable[[float], bool], start: float, *, whole: bool = True) -> float:
    """The largest number from `start` on for which `holds`, which is true up to some number and false beyond."""
    step = 1.0
    while holds(start + step) and start + step < _MOST:
        step *= 2
    low, high = start, start + step
    while high - low > (1 if whole else 1e-6):
        middle = (low + high) // 2 if whole else (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _at_most(found: int, lies: float, chance: float) -> float:
    """P(X <= found) of a binomial X of (lies, chance)."""
    if found >= lies:
        return 1.0
    first, yes, no = lgamma(lies + 1), log(chance), log1p(-chance)
    terms = (exp(first - lgamma(n + 1) - lgamma(lies - n + 1) + n * yes + (lies - n) * no) for n in range(found + 1))
    return min(1.0, sum(terms))


def _poisson_at_most(found: int, mean: float) -> float:
    return min(1.0, sum(exp(n * log(mean) - mean - lgamma(n + 1)) for n in range(found + 1)))
