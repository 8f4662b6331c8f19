"""Duty: the log of who did what, when, from where and with which credential. Entries hold no secrets."""

from dataclasses import dataclass
from datetime import datetime, timezone

from dockercomp.protocol.errors import BadRequest
from dockercomp.protocol.people import AuditEntry, AuditPage
from server.store import Store
from server.store.connection import Document

_LONGEST = 300


@dataclass(frozen=True)
class Actor:
    """Whose credentials did something, which ones, and from which address."""

    person: str
    by: str
    address: str = ""


SERVER = Actor("server", "command")
"""Whoever may run commands on the master's machine."""


@dataclass(frozen=True)
class Asked:
    """Which entries are wanted. Empty text asks for all; times are RFC 3339 with their offset, or dates (UTC)."""

    person: str = ""
    subject: str = ""
    kind: str = ""
    since: str = ""
    until: str = ""


class Audit:
    def __init__(self, store: Store) -> None:
        self._log = store.audit

    def record(self, actor: Actor, kind: str, subject: str = "", outcome: str = "done", detail: str = "") -> None:
        """Add an entry. Raises Unavailable where it was not stored: then what it tells of is answered as failed, and
        is repeated."""
        entry = {
            "person": actor.person,
            "by": actor.by,
            "address": actor.address,
            "kind": kind,
            "subject": subject,
            "outcome": outcome,
            "detail": detail,
        }
        self._log.append({key: value[:_LONGEST] for key, value in entry.items()})

    def page(self, asked: Asked, cursor: str = "", limit: int = 100) -> AuditPage:
        """Newest first. Raises BadRequest for what is no time, or no cursor."""
        where: Document = {key: getattr(asked, key) for key in ("person", "subject", "kind") if getattr(asked, key)}
        before = _cursor(cursor) if cursor else (_time(asked.until), "") if asked.until else None
        found = self._log.page(where, _time(asked.since) if asked.since else None, before, limit)
        following = f"{found[-1]['at'].isoformat()},{found[-1]['_id']}" if len(found) == limit else None
        return AuditPage(entries=[_entry(each) for each in found], next=following)


def _entry(found: Document) -> AuditEntry:
    at = found["at"].replace(tzinfo=timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    words = {key: str(found.get(key, "")) for key in AuditEntry.__struct_fields__ if key not in ("id", "at")}
    return AuditEntry(id=found["_id"], at=at, **words)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise BadRequest(f"{text[:40]} is no time: write 2026-11-21 or 2026-11-21T07:43:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _cursor(text: str) -> tuple[datetime, str]:
    at, _, last = text.partition(",")
    try:
        return datetime.fromisoformat(at).replace(tzinfo=timezone.utc), last
    except ValueError:
        raise BadRequest("?cursor= is the `next` of the page before") from None
