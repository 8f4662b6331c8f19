"""A pool of simulated clients at work under a rule: who acts next is drawn, each holds one lease. Pure."""

from collections.abc import Mapping
from random import Random
from typing import Protocol, TypeVar

from bench.saboteurs import Behaviour

_IDLE_ROUNDS = 50
"""A pool in which nobody got work this often in a row, all clients counted, cannot finish."""

_HOLDS = 0.95
"""The chance that a client which does not return its chunks in time still holds one: leases outlast chunks by far."""

L = TypeVar("L")


class Scheme(Protocol[L]):
    """A rule of who gets what and what is accepted; a lease is whatever the rule likes."""

    left: int

    def lease(self, client: str) -> L | None: ...
    def returned(self, client: str, lease: L, answer: str) -> None: ...
    def lost(self, client: str, lease: L) -> None: ...
    def chunk_of(self, lease: L) -> int: ...
    def seen(self, number: int) -> list[str]: ...


def work(scheme: Scheme[L], pool: Mapping[str, Behaviour], random: Random) -> int:
    """Let the pool work until all is accepted; returns what was left open as nobody could do it."""
    clients, idle = sorted(pool), 0
    held: dict[str, L] = {}
    while scheme.left and idle < _IDLE_ROUNDS * len(clients):
        client = random.choice(clients)
        if client in held and pool[client].slow and random.random() < _HOLDS:
            continue
        if client in held:
            _finish(scheme, client, pool[client], held.pop(client))
            if pool[client].slow:
                continue  # others look for work sooner than it
        lease = scheme.lease(client)
        if lease is not None:
            held[client] = lease
        idle = 0 if held else idle + 1
    return scheme.left


def _finish(scheme: Scheme[L], client: str, behaviour: Behaviour, lease: L) -> None:
    number = scheme.chunk_of(lease)
    answer = behaviour.answer(number, scheme.seen(number))
    if answer is None or behaviour.slow:
        scheme.lost(client, lease)
    if answer is not None:
        scheme.returned(client, lease, answer)
