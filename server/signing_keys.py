"""The master's signing key, and how it is changed: the old key signs the new one, and the chain of keys is public.

A change is made with every master stopped. It is written down in steps, each safe to repeat, so that a start after a
crash finishes it: the new key beside the old one, the link in the database, the new key in its place, and last the
orders of all jobs signed anew, so that workers that came later, and know the new key alone, run them too.
"""

import secrets
from pathlib import Path

import msgspec

from dockercomp.machine.home import write_private
from dockercomp.protocol.keychain import KeyChain, KeyLink, link
from dockercomp.protocol.receipts import when
from dockercomp.protocol.signing import public_key, sign_order
from server.store import Store

_KEY, _NEXT = "signing.key", "signing.key.next"


class Keys:
    """What anybody may know of the master's keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def chain(self) -> KeyChain:
        found = self._store.duties.installation()
        links = [msgspec.convert(each, KeyLink) for each in found.get("key_links", [])]
        return KeyChain(key=found.get("public_key", ""), links=links)


class KeyStays(RuntimeError):
    """The key cannot be changed; the message says why and what to do."""


def rotate(home: Path, store: Store) -> str:
    """Give the master of `home` a new key; returns it. Every master must be stopped. Raises KeyStays."""
    holder = store.duties.holder("housekeeping")
    if holder:
        raise KeyStays(
            f"another master of this database runs ({holder}) and would go on signing with the old key: stop all"
            " masters; one that was killed counts as running for some seconds more"
        )
    finish(home, store)
    old = _seed(home / "secrets" / _KEY)
    if store.duties.installation().get("public_key") != public_key(old):
        raise KeyStays(
            f"the signing key in {home / 'secrets'} is not the one that this database's master signs with, so it cannot"
            " be changed here: use the DC_HOME that the master runs with"
        )
    path = home / "secrets" / _NEXT
    if not path.exists():
        write_private(path, secrets.token_bytes(32).hex().encode())
    new = _seed(path)
    step = link(old, new, when(store.duties.now()))
    store.duties.succeed(public_key(old), public_key(new), msgspec.to_builtins(step))
    finish(home, store)
    return public_key(new)


def finish(home: Path, store: Store) -> None:
    """Finish a change of keys that was begun, if one was; at each start."""
    path, found = home / "secrets" / _NEXT, store.duties.installation()
    if path.exists() and found.get("public_key") == public_key(_seed(path)):
        path.replace(home / "secrets" / _KEY)
    if found.get("orders_to_sign"):
        seed = _seed(home / "secrets" / _KEY)
        for job, order in store.jobs.signed_by_others(public_key(seed)):
            store.jobs.sign_again(job, sign_order(job, order, seed))
        store.duties.orders_signed(public_key(seed))


def _seed(path: Path) -> bytes:
    return bytes.fromhex(path.read_text().strip())
