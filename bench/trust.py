"""How many wrong results get accepted, and what checking costs: pools with saboteurs, simulated over the master's own
rules of trust and, in the same run, over BOINC's published one; then a live master with clients that lie.

A saboteur of a rate lies in that share of its results. Every scenario has seeds of its own, which are printed.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from bench import boinc, live_liars, our_rules
from bench.rows import Row, row
from bench.saboteurs import KINDS, TRUTH, Behaviour, Honest, saboteur
from bench.simulated_pool import work
from server import bound, trust

SEED = 20261121
RATES = (1.0, 0.5, 0.1, 0.01)
CHUNKS = (100, 1_000, 10_000)
"""A client's share of the job."""
CLIENTS = {100: 100, 1_000: 100, 10_000: 20}
"""Clients of a pool in which each has so many chunks."""
SHARES = (0.1, 0.4)
AIMED = (("liars", 1.0), ("liars", 0.5), ("sleepers", 1.0), ("sleepers", 0.5))
"""The scenarios of the row "10 % saboteurs", at 1,000 chunks a client."""
ALWAYS = ("copiers", "late", "silent")
"""Kinds that have no rate."""


@dataclass(frozen=True)
class Scenario:
    kind: str
    rate: float
    share: float
    """Of saboteurs among the clients."""
    chunks: int
    """For each client."""
    clients: int

    def __str__(self) -> str:
        rate = "" if self.kind in ALWAYS else f", lie rate {self.rate:g}"
        return f"{self.share:.0%} {self.kind}{rate}, {self.chunks:,} chunks a client"


@dataclass(frozen=True)
class Outcome:
    wrong: float
    """Share of accepted chunks that are wrong."""
    copies: float
    """Results a chunk, all clients and the whole job."""
    steady: float
    """Results of honest clients a chunk that was accepted in the second half."""
    expelled: float | None = None
    """Results that saboteurs returned until they were found, the median; None: none was found."""
    framed: int = 0
    """Honest clients found wrong and not acquitted."""
    unfinished: int = 0


def rows(runs: int, peers: Sequence[str] = (), *, quick: bool = False) -> list[Row]:
    """The aimed row first, then the table, then the live run."""
    print(f"seeds {SEED} to {SEED + runs - 1}")
    found = list(_aimed(runs, 100 if quick else 1_000))
    if not quick:
        found += _table(runs)
        found += live_liars.rows()
    return found


def _aimed(runs: int, chunks: int) -> Iterator[Row]:
    scenarios = [Scenario(kind, rate, 0.1, chunks, CLIENTS[chunks]) for kind, rate in AIMED]
    pairs = [pair for scenario in scenarios for pair in _measured(scenario, runs)]
    for number, system in enumerate(("dockercomp", "boinc")):
        outcomes = [pair[number] for pair in pairs]
        wrong, steady = [each.wrong for each in outcomes], [each.steady for each in outcomes]
        yield row(system, "10 % saboteurs", "accepted_wrong_rate", "share", wrong, digits=7)
        yield row(system, "honest", "copies_per_chunk", "copies", steady)


def _table(runs: int) -> Iterator[Row]:
    heads = (("wrong", 10), ("expected", 10), ("stated", 10), ("copies", 8), ("expelled", 10), ("framed", 8))
    print(f"{'scenario':<58}" + "".join(f"{name:>{width}}" for name, width in (*heads, ("BOINC", 10), ("copies", 8))))
    for scenario in _scenarios():
        for ours, theirs in _measured(scenario, runs):
            _print(scenario, ours, theirs)
            yield row("dockercomp", str(scenario), "accepted_wrong_rate", "share", [ours.wrong], digits=7)
            yield row("dockercomp", str(scenario), "copies_per_chunk", "copies", [ours.copies])
            yield row("boinc", str(scenario), "accepted_wrong_rate", "share", [theirs.wrong], digits=7)
            yield row("boinc", str(scenario), "copies_per_chunk", "copies", [theirs.copies])


def _scenarios() -> Iterator[Scenario]:
    for chunks in CHUNKS:
        for rate in RATES:
            yield Scenario("liars", rate, 0.1, chunks, CLIENTS[chunks])
    for share in SHARES:
        for kind in KINDS:
            if kind != "liars" or share != SHARES[0]:
                yield Scenario(kind, 1.0 if kind in ALWAYS else 0.5, share, 1_000, 100)


def _print(scenario: Scenario, ours: Outcome, theirs: Outcome) -> None:
    told = scenario.rate * scenario.chunks
    worst = scenario.share / (told * trust.FLOOR)
    sole = [scenario.chunks] * scenario.clients
    evidence = bound.Evidence(basis="adaptive", accepted=sum(sole), sole=sole, chance=trust.FLOOR, closed=True)
    stated = bound.bound(evidence).high
    left = f"  {ours.unfinished} unfinished" if ours.unfinished else ""
    expelled = "-" if ours.expelled is None else f"{ours.expelled:,.0f}"
    print(
        f"{scenario!s:<58}{ours.wrong:>10.2g}{min(1.0, worst):>10.2g}{stated:>10.2g}{ours.copies:>8.3f}{expelled:>10}"
        f"{ours.framed:>8}{theirs.wrong:>10.2g}{theirs.copies:>8.3f}{left}"
    )


def _measured(scenario: Scenario, runs: int) -> Iterator[tuple[Outcome, Outcome]]:
    for seed in range(SEED, SEED + runs):
        yield ours(scenario, seed), theirs(scenario, seed)


def ours(scenario: Scenario, seed: int) -> Outcome:
    """The scenario under our rules."""
    random = Random(seed)
    pool, bad = _pool(scenario, random)
    rule = our_rules.Rule(scenario.chunks * scenario.clients, random)
    left = work(rule, pool, random)
    while not left and rule.close():
        left = work(rule, pool, random)
    expelled = [results for client, results in rule.found.items() if client in bad]
    return Outcome(
        wrong=rule.wrong(TRUTH) / rule.size,
        copies=rule.results.total() / rule.size,
        steady=rule.second_half(set(pool) - bad),
        expelled=statistics.median(expelled) if expelled else None,
        framed=len(set(rule.found) - bad),
        unfinished=left,
    )


def theirs(scenario: Scenario, seed: int) -> Outcome:
    """The scenario under BOINC's rule."""
    random = Random(seed)
    pool, bad = _pool(scenario, random)
    rule = boinc.Rule(scenario.chunks * scenario.clients, random)
    left = work(rule, pool, random)
    copies = rule.results.total() / len(rule.jobs)
    return Outcome(rule.wrong(TRUTH) / len(rule.jobs), copies, rule.second_half(set(pool) - bad), unfinished=left)


def _pool(scenario: Scenario, random: Random) -> tuple[dict[str, Behaviour], set[str]]:
    """Clients by name, and those that are saboteurs."""
    names = [f"c{number:04d}" for number in range(scenario.clients)]
    bad = set(random.sample(names, round(scenario.share * scenario.clients)))
    salt = random.getrandbits(32)
    pool = {name: saboteur(scenario.kind, scenario.rate, random, salt) if name in bad else Honest() for name in names}
    return pool, bad
