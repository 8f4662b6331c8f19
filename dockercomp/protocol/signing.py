"""Ed25519 signatures (RFC 8032, by PyNaCl): the master's over a job's order, the scientist's over a Statement.

A signature covers a domain tag and the stored bytes; nothing is ever serialised again before checking. Public keys are
64 hex digits, private ones a seed of 32 bytes.
"""

import hashlib

import msgspec
from msgspec.structs import replace
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from .messages import Message, SignedOrder
from .orders import JobOrder

_ORDER_DOMAIN = b"dockercomp job order v1\n"
_STATEMENT_DOMAIN = b"dockercomp scientist's statement v1\n"
_POSSESSION_DOMAIN = b"dockercomp scientist's key v1\n"

STATEMENT_VERSION = 1
_FINGERPRINT = "sha256:"


class Statement(Message, frozen=True, kw_only=True):
    """What a scientist signs: whose job it is, and the order that workers may be given for it."""

    version: int
    scientist: str
    """The user's name at the master."""
    nonce: str
    """Made once a submission."""
    order: JobOrder
    """As protocol.ordering derives it, with an empty `job`: the master gives the id later."""


encode_statement = msgspec.json.Encoder().encode
decode_statement = msgspec.json.Decoder(Statement).decode


def public_key(seed: bytes) -> str:
    """The public key of a private seed."""
    return SigningKey(seed).verify_key.encode().hex()


def fingerprint(key: str) -> str:
    """How a public key is named in a configuration: `sha256:` and the 64 hex digits of the key's SHA-256."""
    return _FINGERPRINT + hashlib.sha256(bytes.fromhex(key)).hexdigest()


def names_key(word: str, key: str) -> bool:
    """Whether `word` is the public key `key` itself, or its fingerprint."""
    try:
        return word.lower() in (key, fingerprint(key))
    except ValueError:
        return False


def sign_order(job: str, body: bytes, seed: bytes) -> SignedOrder:
    """Sign `body` with the private `seed`."""
    return SignedOrder(job=job, body=body, key=public_key(seed), signature=_sign(_ORDER_DOMAIN, body, seed))


def order_is_genuine(order: SignedOrder, master_key: str) -> bool:
    """True only if signed by the owner of `master_key`; the key that the order itself names is not trusted."""
    return _is_genuine(_ORDER_DOMAIN, order.body, order.signature, master_key)


def sign_statement(statement: bytes, seed: bytes) -> bytes:
    """The scientist's signature over an encoded Statement."""
    return _sign(_STATEMENT_DOMAIN, statement, seed)


def statement_is_genuine(statement: bytes, signature: bytes, key: str) -> bool:
    """True only if the owner of `key` signed the statement."""
    return _is_genuine(_STATEMENT_DOMAIN, statement, signature, key)


def states(statement: Statement, order: JobOrder) -> bool:
    """Whether the order is the one that the scientist signed: the same but for the job's id."""
    signed = statement.order
    return replace(order, job=signed.job) == signed and _as_text(order.parameters) == _as_text(signed.parameters)


def prove_possession(seed: bytes) -> bytes:
    """The signature with which a key is registered: nobody registers another's key as their own."""
    return _sign(_POSSESSION_DOMAIN, public_key(seed).encode(), seed)


def possesses(key: str, signature: bytes) -> bool:
    """Whether whoever made the signature holds the private part of `key`."""
    return _is_genuine(_POSSESSION_DOMAIN, key.encode(), signature, key)


_as_text = msgspec.json.Encoder().encode
"""Tells 1, 1.0 and true apart, and the order of the parameters, as == does not."""


def _sign(domain: bytes, body: bytes, seed: bytes) -> bytes:
    return SigningKey(seed).sign(domain + body).signature


def _is_genuine(domain: bytes, body: bytes, signature: bytes, key: str) -> bool:
    try:
        VerifyKey(bytes.fromhex(key)).verify(domain + body, signature)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True
