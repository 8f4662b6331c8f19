"""The words of `dockercomp-worker`'s answers. Pure."""

from collections.abc import Iterable, Sequence
from typing import Literal

from dockercomp.protocol.messages import Ceiling, ContainerReport, Message, PartReport

from .limits import MIB
from .status import Status


class Check(Message, frozen=True, kw_only=True):
    """One thing that the doctor looked at. `todo` says how to mend it."""

    name: str
    result: Literal["ok", "FAIL", "warn"]
    finding: str
    todo: str = ""


def checks(found: Sequence[Check]) -> str:
    width = max((len(check.name) for check in found), default=0)
    lines = []
    for check in found:
        lines.append(f"{check.result:<4}  {check.name:<{width}}  {check.finding}")
        if check.todo:
            lines.append(f"{'':<4}  {'':<{width}}  -> {check.todo}")
    return "\n".join(lines)


def status(found: Status, now: float) -> str:
    """A page for a person. `now` is seconds since the epoch."""
    rows = [
        ("State", found.state),
        ("Now", found.sentence),
        ("Master", found.master),
        ("Client", f"{found.client} of {found.owner}" if found.client else ""),
        ("Last sync", "" if found.last_sync is None else f"{max(0.0, now - found.last_sync):.0f} s ago"),
        ("Chunks", f"{found.running} running, {found.held - found.running} at hand" if found.pid else ""),
        ("Results", f"{found.results_sent} sent, {found.results_waiting} waiting" if found.pid else ""),
        ("Allocation", _allocation(found)),
        ("Ceiling", _ceiling(found.ceiling)),
        ("Process", str(found.pid) if found.pid else ""),
    ]
    rows += [("Problem", problem) for problem in found.problems if problem not in found.sentence]
    rows += [("Waits", _part(part)) for part in _unsettled(found)]
    text = "\n".join(f"{name:<11} {value}" for name, value in rows if value)
    return text + ("\n\n" + containers(found.containers) if found.containers else "")


def limits(found: Status) -> str:
    """Ceiling, allocation and what was read back."""
    applied = found.applied
    rows = [("Ceiling", _ceiling(found.ceiling)), ("Allocation", _allocation(found))]
    rows += volumes(found)
    rows += [("Rule", sentence) for sentence in found.rules]
    rows += [("Consent", sentence) for sentence in found.consent]
    if applied is not None:
        rows.append(("Verified", "yes, read back from every container" if applied.verified else "no"))
        rows.append(("Note", applied.note))
    rows += [("Problem", problem) for problem in found.problems]
    rows += [("Part", _part(part)) for part in (applied.parts if applied else [])]
    text = "\n".join(f"{name:<11} {value}" for name, value in rows if value)
    return text + ("\n\n" + containers(found.containers) if found.containers else "")


def _unsettled(found: Status) -> list[PartReport]:
    """The parts of the allocation that wait, or that failed."""
    return [part for part in (found.applied.parts if found.applied else []) if part.state in ("waiting", "failed")]


def _part(part: PartReport) -> str:
    """`cpus: 2 CPUs each, verified. Why.`"""
    return f"{part.part}: {part.actual}, {part.state}. {part.why}".strip()


def volumes(found: Status) -> list[tuple[str, str]]:
    """Disk and network: what is used, of what is allowed."""
    most = found.ceiling
    disk, network = (most.disk, most.network_per_day) if most else (0, 0)
    return [
        ("Disk", f"{_mib(found.disk_used)} used{_of(disk)}"),
        ("Network", f"{_mib(found.network_used)} in 24 hours{_of(network)}"),
    ]


def _of(most: int) -> str:
    return f" of {_mib(most)}" if most else ", no limit set"


def containers(reports: Iterable[ContainerReport]) -> str:
    """A table of containers: limits as read back, next to use. `ON` are the CPUs that it is pinned to."""
    limits = ("CPU LIMIT", "CPU USED", "ON", "WEIGHT", "MEMORY LIMIT", "MEMORY USED", "READ FROM")
    head = ("CONTAINER", "STATE", "JOB", "CHUNK", *limits)
    rows = [head] + [
        (
            report.name,
            report.state,
            report.job,
            report.chunk or "-",
            _number(report.cpus_limit),
            _number(report.cpus_used),
            report.cpuset or "any",
            "-" if report.weight is None else f"{report.weight:.0f}",
            _mib(report.memory_limit),
            _mib(report.memory_used),
            report.read_from or "-",
        )
        for report in reports
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _allocation(found: Status) -> str:
    given = found.allocation
    if given is None:
        return ""
    text = f"{given.containers} containers, {given.cpus:g} CPUs and {_mib(given.memory)} each"
    return text + (" (paused by an admin)" if given.paused else "")


def _ceiling(most: Ceiling | None) -> str:
    return f"{most.containers} containers, {most.cpus:g} CPUs and {_mib(most.memory)} in all" if most else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / MIB:.0f} MiB"
