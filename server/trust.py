"""How far a client's word is taken: pure rules, no I/O. Counts go in, the chance of a check comes out.

The chance that a single result is checked by a second client is 1 / (agreements in a row), as in BOINC's adaptive
replication (boinc.berkeley.edu/trac/wiki/AdaptiveReplication), with two differences. It never falls below a floor: a
client that lies k times passes unseen with a chance of at most (1 - floor)^k, however long it was honest before. And
the agreements are counted for the job, for the client and for its owner; the least of the three decides, so that
nobody who begins a job is believed at once. That passed checks bound the chance of an error follows L. F. G. Sarmenta,
"Sabotage-tolerance mechanisms for volunteer computing systems" (FGCS 18, 2002).

    what happened    what it does to a record
    agreed           one agreement more: its result is that of a quorum, or of a canary
    wrong            outvoted by a quorum, or a failed canary: all agreements are lost, and so many more than NEW are
                     asked for as it was wrong before, times NEW
    failed           FAILED agreements are lost: it failed a chunk that another completed
    late             LATE agreements are lost: its lease ended without a word

Agreements come from checks, which are few, and hits from all work: who fails or is late is checked as often as it
takes for its agreements to outweigh its hits, and no more.
"""

import hashlib
import hmac
from typing import Literal

import msgspec
from msgspec.structs import replace

Event = Literal["agreed", "wrong", "failed", "late"]

NEW = 10
"""Agreements up to which a client's, and an owner's, every result is checked."""
NEW_TO_JOB = 3
"""The same for a client in each of its jobs."""
FAILED = 2
LATE = 1
FLOOR = 0.02
"""Least chance of a check that a job can ask for."""
CANARY_SHARE = 0.25
"""Canaries a lease, of the floor. They come besides the floor of checks: a client sees a chunk's number, so it might
tell chunks that others had before, canaries among them, from fresh ones."""
MOST_FINDINGS = 3
"""Jobs in which a client may have been found wrong; then it gets no work until it has a fresh start."""
TRIAL = 3
"""Chunks whose results must agree before a job's single results are accepted."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is counted of a client in a job, of a client, or of all clients of an owner."""

    agreed: int = 0
    """Since it was wrong last."""
    wrong: int = 0
    failed: int = 0
    late: int = 0


NOTHING = Record()


def noted(record: Record, event: Event) -> Record:
    """The record after one event more."""
    if event == "wrong":
        return replace(record, agreed=0, wrong=record.wrong + 1)
    return replace(record, **{event: getattr(record, event) + 1})


class Reputation(msgspec.Struct, frozen=True):
    """All that decides how often a client is checked in a job."""

    job: Record = NOTHING
    client: Record = NOTHING
    owner: Record | None = None
    """None: nothing is known of its other clients."""
    found: str = ""
    """Why it was found wrong in this job; empty where it was not."""
    findings: int = 0
    """In how many jobs it was found wrong, this one too."""
    trusted: bool = False
    """Its enrolment token is that of the scientist's own machines: one result of it decides."""


class Terms(msgspec.Struct, frozen=True):
    """What a job asks for."""

    floor: float = FLOOR
    """Least chance of a check, 0 to 1: its `floor`, or what its `target_error` needs where that is more."""
    trial: bool = False
    """Whether it is on trial: fewer than TRIAL of its chunks agreed."""
    whole: bool = False
    """Whether a whole result rests on this chunk, a reducer's: it is always checked."""


def standing(record: Record) -> int:
    """Agreements that count, after hits for failures and lateness; below 0 where these outweigh them."""
    return record.agreed - FAILED * record.failed - LATE * record.late


def chance(reputation: Reputation, terms: Terms) -> float:
    """The chance, 0 to 1, that a single result is checked by another client: never below the job's floor, but 0 for
    trusted clients."""
    if reputation.trusted:
        return 0.0
    new = _is_new(reputation.job, NEW_TO_JOB) or _is_new(reputation.client, NEW)
    if terms.trial or terms.whole or reputation.found or new or (reputation.owner and _is_new(reputation.owner, NEW)):
        return 1.0
    known = (reputation.job, reputation.client, *([reputation.owner] if reputation.owner else []))
    return min(1.0, max(FLOOR, terms.floor, 1 / min(map(standing, known))))


def canary_chance(reputation: Reputation, terms: Terms) -> float:
    """The chance, for each lease that a client is given, that it gets a canary besides: none while all of its results
    are checked anyway."""
    checked = chance(reputation, terms)
    return 0.0 if reputation.trusted or checked >= 1 else CANARY_SHARE * max(FLOOR, terms.floor)


def refusal(reputation: Reputation) -> str:
    """Why a client gets no work of this job, in a sentence without a stop; empty where it may."""
    if reputation.trusted:
        return ""
    if reputation.found:
        return f"it was found wrong in this job: {reputation.found}"
    if reputation.findings >= MOST_FINDINGS:
        return (
            f"it was found wrong in {reputation.findings} jobs: have its machine checked, then ask an admin to forgive"
            " it, or enrol it anew"
        )
    return ""


def drawn(secret: bytes, lease: str, probability: float) -> bool:
    """Whether something that happens with this probability happens to a lease: always the same answer for the same
    lease, and known to nobody without the masters' secret."""
    number = int.from_bytes(hmac.digest(secret, lease.encode(), hashlib.sha256)[:8], "big")
    return number < probability * 2**64


def _is_new(record: Record, agreements: int) -> bool:
    return standing(record) < agreements * (1 + record.wrong)
