"""Ed25519 signatures over job orders (RFC 8032, by PyNaCl).

A signature covers a domain tag and the stored bytes; nothing is ever serialised again before checking.
"""

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from .messages import SignedOrder

_ORDER_DOMAIN = b"dockercomp job order v1\n"


def public_key(seed: bytes) -> str:
    """The public key, 64 hex digits, of a 32-byte private seed."""
    return SigningKey(seed).verify_key.encode().hex()


def sign_order(job: str, body: bytes, seed: bytes) -> SignedOrder:
    """Sign `body` with the private `seed`."""
    signature = SigningKey(seed).sign(_ORDER_DOMAIN + body).signature
    return SignedOrder(job=job, body=body, key=public_key(seed), signature=signature)


def order_is_genuine(order: SignedOrder, master_key: str) -> bool:
    """True only if signed by the owner of `master_key`; the key that the order itself names is not trusted."""
    try:
        VerifyKey(bytes.fromhex(master_key)).verify(_ORDER_DOMAIN + order.body, order.signature)
    except (BadSignatureError, ValueError):
        return False
    return True
