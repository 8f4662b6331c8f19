"""The way of what a client is given: wanted, sent, received, applied, verified, and each part of it. Pure.

Times are told as how long after the change they were, so that a page that shows them need not change each second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dockercomp.protocol.messages import Part
from dockercomp.protocol.views import AllocationRecord, ClientView, PartProgress, Progress
from server.dashboard.wording import ago, later

TITLES: dict[Part, str] = {
    "containers": "Containers",
    "cpus": "CPUs",
    "memory": "Memory",
    "disk": "Disk",
    "jobs": "Jobs",
    "priority": "Priority",
    "policy": "Division",
    "paused": "Pause",
}
_SETTLED = ("applied", "verified")
_MUCH_LATER_S = 600.0


@dataclass(frozen=True)
class Step:
    """One step of a change's way; `later` is one that is not due yet."""

    name: str
    state: Literal["done", "now", "later", "problem"]
    text: str


def steps(client: ClientView) -> list[Step]:
    """Sent, received, applied, verified: as far as what is wanted now has come; none where nothing is known of it."""
    way = client.progress
    if way is None:
        return []
    parts, lost = way.parts, _lost(client)
    return [
        _step("Sent", way, way.sent_s_ago, lost or Step("", "now", "with its next sync")),
        _step("Received", way, way.received_s_ago, _due(way.sent_s_ago, lost, "its worker has not answered yet")),
        _step("Applied", way, way.applied_s_ago, _stuck(parts) or _due(way.received_s_ago, lost, "being carried out")),
        _verified(way, parts, lost),
    ]


def settled(client: ClientView) -> bool:
    """Whether nothing of it is under way any more: only then a page may look less often."""
    way = client.progress
    if way is None or way.verified_s_ago is not None:
        return True
    return all(part.state in (*_SETTLED, "failed") for part in way.parts)


def reached(way: Progress | None) -> tuple[str, str]:
    """How far all of it has come, in a word, with its colour."""
    states = {part.state for part in way.parts} if way else set()
    if way is None or not states:
        return "unknown", "secondary"
    if "failed" in states:
        return "failed", "danger"
    if "waiting" in states:
        return "waiting", "warning"
    if way.verified_s_ago is not None:
        return "verified", "success"
    if states <= set(_SETTLED):
        return "applied", "info"
    return "on its way", "info"


def came(record: AllocationRecord, client: ClientView) -> str:
    """How far one of a client's history came, in a word; what it has now may still come further."""
    if record.allocation.version == client.allocation.version:
        return reached(client.progress)[0]
    told = (("verified", record.verified), ("applied", record.applied), ("received", record.received))
    return next((word for word, at in (*told, ("sent", record.sent)) if at), "not sent")


def _step(name: str, way: Progress, done_s_ago: float | None, otherwise: Step) -> Step:
    if done_s_ago is None:
        return Step(name, otherwise.state, otherwise.text)
    return Step(name, "done", _when(way, done_s_ago))


def _when(way: Progress, done_s_ago: float) -> str:
    """How long after the change; of what came about much later, such as after a drift was put right, how long ago."""
    took = way.wanted_s_ago - done_s_ago
    return later(took) if took < _MUCH_LATER_S else ago(done_s_ago)


def _verified(way: Progress, parts: Sequence[PartProgress], lost: Step | None) -> Step:
    if way.verified_s_ago is not None:
        return Step("Verified", "done", _when(way, way.verified_s_ago))
    if any(part.state == "failed" for part in parts):
        return Step("Verified", "problem", "not as wanted: the parts below say why")
    if parts and all(part.state in _SETTLED for part in parts):
        return Step("Verified", "later", "once a container runs, whose limits can be read back")
    due = _due(way.applied_s_ago, lost, "limits are being read back")
    return Step("Verified", due.state, due.text)


def _due(before_s_ago: float | None, lost: Step | None, text: str) -> Step:
    """A step under way if the one before it is done, else a later one."""
    if before_s_ago is None:
        return Step("", "later", "")
    return lost or Step("", "now", text)


def _stuck(parts: Sequence[PartProgress]) -> Step | None:
    """What holds up its being applied; None where nothing does."""
    failed, waiting = ([TITLES[part.part] for part in parts if part.state == state] for state in ("failed", "waiting"))
    if failed:
        return Step("", "problem", f"failed: {', '.join(failed)}")
    return Step("", "now", f"waiting: {', '.join(waiting)}") if waiting else None


def _lost(client: ClientView) -> Step | None:
    """Why nobody can carry it out now; None where the client is there."""
    if client.state == "alive":
        return None
    text = f"the client is {client.state}, last heard of {ago(client.seen_s_ago)}"
    return Step("", "problem", f"{text}; it gets this when it is back" if client.state == "silent" else text)
