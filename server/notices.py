"""What scientists are told of their jobs, and when: pure rules, no I/O.

Told is that a job ended (completed, failed, cancelled), each time that it does; that it waits, once each time that it
waits for longer than WAITS_S; that its result was withdrawn, as a client was found wrong; and that a result which it
read is not good any more (doubtful). Each address is told at least once, and again after a growing pause until it takes
it.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from dockercomp.protocol.messages import Message
from dockercomp.protocol.views import JobView

Event = Literal["completed", "failed", "cancelled", "waits", "withdrawn", "doubtful"]

WAITS_S = 600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 6 * 3600.0
MOST_TRIES = 20
"""After so many tries, three days, an address is given up."""


class Notice(Message, frozen=True, kw_only=True):
    """The JSON that is posted to an address."""

    id: str
    """The same where the same notice is sent again."""
    event: Event
    sentence: str
    link: str
    """The job's page."""
    job: JobView


class Pending(msgspec.Struct, frozen=True):
    """A notice under way, as it stands on the job's document."""

    event: Event
    number: int
    """Counts the notices of the job."""
    left: tuple[str, ...]
    """Addresses that were not reached yet."""
    tries: int = 0
    next: float = 0.0
    """Database time before which it is not tried again."""
    problem: str = ""
    """Why the last address could not be reached."""


def due(job: dict[str, Any], waits_since: float | None, now: float) -> Event | None:
    """What is to be told of a job that was not told yet. `waits_since`: since when it waits, if it does."""
    told: Sequence[str] = job.get("told", [])
    if job["state"] in ("completed", "failed", "cancelled") and job["state"] not in told:
        event: Event = job["state"]
        return event
    if job.get("warning") and "doubtful" not in told:
        return "doubtful"
    if job["state"] != "running":
        return None
    if job.get("withdrawn") and "withdrawn" not in told:
        return "withdrawn"
    if waits_since is not None and now - waits_since >= WAITS_S and "waits" not in told:
        return "waits"
    return None


def after(pending: Pending, reached: Sequence[str], problem: str, now: float) -> Pending:
    """A notice after one more try, which reached some of its addresses."""
    left = tuple(address for address in pending.left if address not in reached)
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**pending.tries)
    return msgspec.structs.replace(
        pending, left=left, tries=pending.tries + 1, next=now + pause, problem=problem if left else ""
    )


def over(pending: Pending) -> bool:
    """Whether nobody is left to be told, or to be tried."""
    return not pending.left or pending.tries >= MOST_TRIES


def sentence(event: Event, view: JobView) -> str:
    if event == "withdrawn":
        return (
            f"The result of job {view.name} ({view.id}) is withdrawn: {view.withdrawn}. Do not use it; the job runs"
            " again by itself, and you are told when it is completed"
        )
    if event == "doubtful":
        return f"Job {view.name} ({view.id}): {view.warning}"
    if event == "completed" and view.edition > 1:
        return (
            f"Job {view.name} ({view.id}) is completed again: this result, edition {view.edition}, replaces the one"
            f" that was withdrawn; fetch it: dockercomp results {view.id} --output DIR"
        )
    if event == "completed":
        return f"Job {view.name} ({view.id}) is completed; fetch its result: dockercomp results {view.id} --output DIR"
    if event == "failed":
        return f"Job {view.name} ({view.id}) failed: {view.error}"
    if event == "cancelled":
        return f"Job {view.name} ({view.id}) was {view.error or 'cancelled'}"
    return f"Job {view.name} ({view.id}) has waited for 10 minutes: {view.waiting}"
