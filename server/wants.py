"""What jobs want beyond the locked default, and which clients' volunteers consent to it: pure, no I/O."""

from collections.abc import Sequence

from dockercomp.protocol.orders import JobSpec, Want, wants_of
from server.store.connection import Document

_SAID: dict[Want, str] = {
    "network": "the network",
    "disk": "much disk",
    "device": "a device",
    "writable_root": "a writable root",
    "capabilities": "capabilities",
}


def wanted(spec: JobSpec) -> list[Want]:
    """What a job needs its volunteers' consent to."""
    return wants_of(spec.wants, spec.resources.disk)


def not_allowed(spec: JobSpec, client: Document) -> list[Want]:
    """What of it this client's volunteer does not allow."""
    return [want for want in wanted(spec) if want not in allowed_by(client)]


def allowed_by(client: Document) -> list[str]:
    return list((client.get("ceiling") or {}).get("allows") or ())


def refusal(job: str, spec: JobSpec, client: Document) -> str:
    """Why this client gets nothing of a job, in one sentence with the way out; empty where it may have it."""
    missing = not_allowed(spec, client)
    if not missing:
        return ""
    asked = " and ".join(_SAID[want] for want in missing)
    return (
        f"job {job} wants {asked}, which this client's volunteer does not allow: they can, with"
        f" DC_ALLOW={','.join(missing)} in their configuration; or do without it in the job file"
    )


def nobody(spec: JobSpec, pool: Sequence[Document]) -> str:
    """Why a job waits that no client of the pool consents to; empty where one does."""
    if consenting(spec, pool) or not pool:
        return ""
    asked = " and ".join(_SAID[want] for want in wanted(spec))
    return (
        f"it wants {asked}, which no volunteer of the {len(pool)} connected clients allows: they can, with"
        f" DC_ALLOW={','.join(wanted(spec))} in their configuration; or do without it in the job file"
    )


def consenting(spec: JobSpec, pool: Sequence[Document]) -> int:
    """How many of the clients allow all that a job wants."""
    return sum(not not_allowed(spec, client) for client in pool)


def said(spec: JobSpec, pool: Sequence[Document]) -> str:
    """What a job wants and how many clients allow it, in one sentence; empty where it wants nothing."""
    found = wanted(spec)
    if not found:
        return ""
    return f"it wants {', '.join(found)}: {consenting(spec, pool)} of {len(pool)} connected clients allow that"
