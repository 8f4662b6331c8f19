"""Links by which people without an account answer a job's questions: signed and expiring, stored nowhere. Pure."""

from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer

_SALT = "answers"


@dataclass(frozen=True)
class AnswerLink:
    job: str
    until: int
    """Seconds since 1970."""


def sign(secret: bytes, link: AnswerLink) -> str:
    """The part of the address that stands for the link."""
    return str(URLSafeSerializer(secret, salt=_SALT).dumps([link.job, link.until]))


def read(secret: bytes, signed: str, now: float) -> AnswerLink | None:
    """The link, if we signed it and it has not expired."""
    try:
        job, until = URLSafeSerializer(secret, salt=_SALT).loads(signed)
    except (BadSignature, ValueError, TypeError):
        return None
    return AnswerLink(job, until) if now < until else None
