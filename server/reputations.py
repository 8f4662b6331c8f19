"""What clients' documents say of their reputation: pure, no I/O.

A document counts under `counters`, of everything and by job, what trust.Record has (`faults` are its failures); in
`owner_record` the sums of all clients of its owner; and in `findings`, by job, why and when it was found wrong.
"""

from server import trust
from server.store.connection import Document
from server.trust import Record, Reputation


def reputation_of(client: Document, job: str) -> Reputation:
    """A client's reputation in a job."""
    counters = client.get("counters", {})
    findings = client.get("findings") or {}
    owner = client.get("owner_record")
    return Reputation(
        job=_record(counters.get("jobs", {}).get(job, {})),
        client=_record(counters),
        owner=_record(owner) if owner else None,
        found=findings[job]["reason"] if job in findings else "",
        findings=len(findings),
        trusted=bool(client.get("trusted")),
    )


def refusal(client: Document, job: str) -> str:
    """Why a client gets no work of a job for what it did before; empty where it may."""
    return trust.refusal(reputation_of(client, job)) if client.get("findings") else ""


def _record(counted: Document) -> Record:
    return Record(
        agreed=int(counted.get("agreed", 0)),
        wrong=int(counted.get("wrong", 0)),
        failed=int(counted.get("faults", 0)),
        late=int(counted.get("late", 0)),
    )
