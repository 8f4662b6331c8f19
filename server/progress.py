"""How far what a client is given has come: sent, received, applied, verified. Pure, no I/O.

The times are the database's, noted by store/way.py with the syncs; what each part has come to is its worker's word.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from dockercomp.protocol.messages import Allocation, AppliedAllocation, Part, PartReport, PartState
from dockercomp.protocol.views import PartProgress, Progress
from server.allocations import FIRST_CONTACT

Document = dict[str, Any]

PUT_RIGHT = "put right:"
"""How a worker tells of a limit that somebody else had changed, after whatever else there is to say of the part."""
_READ_BACK: tuple[Part, ...] = ("cpus", "memory")
"""What older workers, which do not tell of parts, mean by `verified`."""


@dataclass(frozen=True)
class Standing:
    """What a sync's word on the allocation that its worker has comes to."""

    version: int
    applied: bool
    """No part waits or failed."""
    verified: bool
    """What can be read back was, and is as planned."""
    drifted: str = ""
    """What was found changed by somebody else, and put right."""


def standing(applied: AppliedAllocation, containers: int) -> Standing:
    """`containers`: how many the client has. Nothing is verified where nothing was read back."""
    if not applied.parts:
        return Standing(applied.version, applied=True, verified=applied.verified and containers > 0)
    done = all(part.state in ("applied", "verified") for part in applied.parts)
    read = any(part.state == "verified" for part in applied.parts)
    drifted = [part.why[at:] for part in applied.parts if (at := part.why.find(PUT_RIGHT)) >= 0]
    verified = done and read and applied.verified
    return Standing(applied.version, done, verified, drifted[0] if drifted else "")


def progress(client: Document, applied: AppliedAllocation | None, now: float) -> Progress:
    """The way of what a client is given now; `now` is the database's time."""
    wanted = _allocation(client)
    way = client.get("way") or {}
    if way.get("version") != wanted.version:
        way = {}
    reports = applied.parts if applied is not None and applied.version == wanted.version else []
    stage: Literal["wanted", "sent", "received"] = "received" if reports or way.get("received") else "sent"
    if not way.get("sent"):
        stage = "wanted"
    told: dict[str, PartReport] = {report.part: report for report in reports}
    if stage == "received" and not reports and applied is not None and applied.version == wanted.version:
        told = {report.part: report for report in _of_older_worker(applied)}
    drifted = client.get("drifted") or {}
    return Progress(
        version=wanted.version,
        author=client.get("author") or FIRST_CONTACT,
        wanted_s_ago=_ago(client.get("wanted_at") or way.get("sent") or client["seen"], now) or 0.0,
        sent_s_ago=_ago(way.get("sent"), now),
        received_s_ago=_ago(way.get("received"), now),
        applied_s_ago=_ago(way.get("applied_since"), now),
        verified_s_ago=_ago(way.get("verified_since"), now),
        drifted=f"{drifted['what']} ({_words_ago(now - drifted['at'])})" if drifted else "",
        parts=[_part(part, words, stage, told.get(part)) for part, words in wanted_in_words(wanted)],
    )


def wanted_in_words(wanted: Allocation) -> list[tuple[Part, str]]:
    """Each part of an allocation, as people read it."""
    return [
        ("containers", f"{wanted.containers} container{'s' * (wanted.containers != 1)}"),
        ("cpus", f"{_cpus(wanted.cpus)} each"),
        ("memory", f"{_size(wanted.memory)} each"),
        ("disk", _size(wanted.disk) if wanted.disk else "as the volunteer allows"),
        ("jobs", ", ".join(wanted.jobs) or "all jobs"),
        ("priority", wanted.priority),
        ("policy", wanted.policy),
        ("paused", "paused" if wanted.paused else "not paused"),
    ]


def _part(
    part: Part, wanted: str, stage: Literal["wanted", "sent", "received"], told: PartReport | None
) -> PartProgress:
    if told is None:
        return PartProgress(part=part, state=stage, wanted=wanted)
    return PartProgress(part=part, state=told.state, wanted=wanted, actual=told.actual, why=told.why)


def _of_older_worker(applied: AppliedAllocation) -> Iterable[PartReport]:
    """What a worker that knows only the whole means by it."""
    in_force: PartState = "verified" if applied.verified else "waiting"
    yield PartReport(part="containers", state="applied", actual=str(applied.containers), why=applied.note)
    actual = {"cpus": f"{_cpus(applied.cpus)} each", "memory": f"{_size(applied.memory)} each"}
    yield from (PartReport(part=part, state=in_force, actual=actual[part]) for part in _READ_BACK)


def _allocation(client: Document) -> Allocation:
    found = client["allocation"]
    return Allocation(**{name: found[name] for name in Allocation.__struct_fields__ if name in found})


def _ago(at: float | None, now: float) -> float | None:
    return None if not at else round(max(0.0, now - at), 1)


def _words_ago(seconds: float) -> str:
    if seconds < 60:
        return f"{max(0, round(seconds))} s ago"
    return f"{round(seconds / 60)} min ago" if seconds < 5400 else f"{round(seconds / 3600)} h ago"


def _cpus(count: float) -> str:
    return f"{count:g} CPU{'s' * (count != 1)}"


def _size(size: int) -> str:
    return f"{size / 2**30:g} GiB" if size >= 2**30 and size % 2**27 == 0 else f"{size / 2**20:.0f} MiB"
