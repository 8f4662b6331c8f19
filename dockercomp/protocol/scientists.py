"""What the command line and the master say to each other of scientists' signing keys (JSON)."""

from typing import Annotated

from msgspec import Meta

from .messages import Message


class KeyRegistration(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Makes a public key the caller's own."""

    proof: Annotated[bytes, Meta(max_length=64)]
    """signing.prove_possession: only who holds the private key can register it."""
    label: Annotated[str, Meta(max_length=100)] = ""
    """Which key it is, for people: the machine's name."""


class KeyView(Message, frozen=True, kw_only=True):
    key: str
    """Ed25519 public key, 64 hex digits."""
    fingerprint: str
    owner: str
    label: str = ""
    created: str = ""
    """RFC 3339, UTC."""
    revoked: str = ""
    """Since when it signs nothing any more; empty while it does."""


class KeyList(Message, frozen=True, kw_only=True):
    keys: list[KeyView]
