"""What a scientist may have at once, and has (JSON)."""

from typing import Annotated

from msgspec import Meta

from .messages import Message

Amount = Annotated[int, Meta(ge=0, le=1 << 50)]


class Amounts(Message, frozen=True, kw_only=True):
    """As a quota, 0 is no bound. A job may have any number of chunks, whatever the quota."""

    jobs: Amount = 0
    """Jobs that run."""
    stored: Amount = 0
    """Bytes of uploads and of results that are kept."""
    chunks: Amount = 0
    """Chunks that run at one time."""
    images: Amount = 0


class QuotaChange(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an admin gives a person; what is left out is the master's default again."""

    jobs: Amount | None = None
    stored: Amount | None = None
    chunks: Amount | None = None
    images: Amount | None = None


class QuotaView(Message, frozen=True, kw_only=True):
    person: str
    quota: Amounts
    use: Amounts
    own: QuotaChange
    """What of the quota an admin gave this person; the rest is the master's default."""
