"""The master's keys one after the other: each change is stated once and signed by the old and by the new key (Ed25519).

Whoever trusts one key of the chain follows it: forward by the old keys' signatures, backward by the new ones'. A chain
proves nothing about keys that no such step joins to the trusted one.
"""

from collections.abc import Sequence

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from .messages import Message

_DOMAIN = b"dockercomp key succession v1\n"


class Succession(msgspec.Struct, frozen=True, kw_only=True):
    """That `new` signs from `at` (RFC 3339, UTC) on, in place of `old`; keys are 64 hex digits."""

    old: str
    new: str
    at: str


class KeyLink(Message, frozen=True, kw_only=True):
    statement: str
    """JSON of a Succession: the very text that both signed."""
    by_old: str
    by_new: str
    """Signatures, 128 hex digits."""


class KeyChain(Message, frozen=True, kw_only=True):
    """The master's key now, and every change that led to it, the oldest first."""

    key: str
    links: list[KeyLink] = []


def link(old_seed: bytes, new_seed: bytes, at: str) -> KeyLink:
    """State a change of keys, with both private seeds."""
    old, new = SigningKey(old_seed), SigningKey(new_seed)
    named = Succession(old=old.verify_key.encode().hex(), new=new.verify_key.encode().hex(), at=at)
    statement = msgspec.json.encode(named)
    signed = _DOMAIN + statement
    return KeyLink(
        statement=statement.decode(), by_old=old.sign(signed).signature.hex(), by_new=new.sign(signed).signature.hex()
    )


def successors(key: str, links: Sequence[KeyLink]) -> list[str]:
    """`key` and the keys that follow it, as far as each old key signed the step."""
    found = [key]
    for each in links:
        step = _read(each)
        if step is not None and step.old == found[-1] and _signed(step.old, each.statement, each.by_old):
            found.append(step.new)
    return found


def predecessors(key: str, links: Sequence[KeyLink]) -> list[str]:
    """The keys before `key`, the latest first, as far as each new key signed the step."""
    found = [key]
    for each in reversed(links):
        step = _read(each)
        if step is not None and step.new == found[-1] and _signed(step.new, each.statement, each.by_new):
            found.append(step.old)
    return found[1:]


def kin(key: str, links: Sequence[KeyLink]) -> set[str]:
    """Every key that whoever trusts `key` may trust as the same master's."""
    return {*successors(key, links), *predecessors(key, links)}


def _read(each: KeyLink) -> Succession | None:
    try:
        return msgspec.json.decode(each.statement, type=Succession)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def _signed(key: str, statement: str, signature: str) -> bool:
    try:
        VerifyKey(bytes.fromhex(key)).verify(_DOMAIN + statement.encode(), bytes.fromhex(signature))
    except (BadSignatureError, ValueError):
        return False
    return True
