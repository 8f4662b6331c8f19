"""How far each part of an allocation has come here, from what was planned, refused and read back. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from dockercomp.protocol.messages import LONGEST_SENTENCE, Part, PartReport, PartState

from .limits import MIB, Clipped
from .reconcile import compared
from .tasks import Reading, Size

NOTHING_TO_READ = "No container runs now, so there is nothing to read back."
_CLOSE = 0.01


@dataclass(frozen=True)
class Seen:
    """A container that runs, as it was last read."""

    name: str
    planned: Size
    reading: Reading
    frozen: bool = False
    leaving: bool = False
    """Its slot goes after its chunk."""


@dataclass(frozen=True)
class Facts:
    """One look at the machine, beside what is allowed here."""

    clipped: Clipped
    seen: Sequence[Seen] = ()
    slots: int = 0
    """That take chunks."""
    leaving: int = 0
    """That still end one."""
    frozen: bool = False
    """What runs is to be frozen, whoever wants it."""
    paused_by: str = ""
    """The verdict's words, where nothing may begin."""
    memory_waits: Sequence[str] = ()
    """What keeps its memory to its chunk's end, and why."""
    room_waits: Sequence[str] = ()
    refused_sizes: Sequence[str] = ()
    refused_pauses: Sequence[str] = ()
    left: Sequence[str] = ()
    """Containers that could not be removed."""
    mended: str = ""
    barred: Sequence[str] = ()
    """Chunks that run of jobs which are not allowed any more."""
    disk_over: bool = False


def reports(facts: Facts) -> list[PartReport]:
    """Each part once."""
    return [
        _containers(facts),
        _cpus(facts),
        _memory(facts),
        _disk(facts),
        _jobs(facts),
        _limit(facts, "priority", _weights(facts)),
        _policy(facts),
        _paused(facts),
    ]


def verified(found: Iterable[PartReport]) -> bool:
    """Whether everything that can be read back was, of at least one container, and nothing waits or failed."""
    states = {report.part: report.state for report in found}
    read = states.get("cpus") == states.get("memory") == "verified"
    return read and not {"failed", "waiting"}.intersection(states.values())


def _report(facts: Facts, part: Part, state: PartState, actual: str, *whys: str) -> PartReport:
    why = " ".join(each for each in (facts.clipped.why(part), *whys) if each)
    return PartReport(part=part, state=state, actual=actual[:500], why=why[:LONGEST_SENTENCE])


def _containers(facts: Facts) -> PartReport:
    ending = f" and {facts.leaving} that end{'s' * (facts.leaving == 1)}" if facts.leaving else ""
    actual = f"{facts.slots} container{'s' * (facts.slots != 1)}{ending}"
    if facts.left:
        return _report(facts, "containers", "failed", actual, *facts.left)
    if facts.leaving:
        names = [seen.name for seen in facts.seen if seen.leaving]
        if not names:
            return _report(facts, "containers", "waiting", actual, "Some containers are being removed.")
        paused = ", and all are paused" if facts.frozen else ""
        ends = _listed(names, "ends its chunk first", "end their chunks first")
        return _report(facts, "containers", "waiting", actual, f"{ends}{paused}.")
    there = sum(1 for seen in facts.seen if seen.reading.source and seen.reading.memory_used is not None)
    if not facts.seen or there < len(facts.seen):
        return _report(
            facts, "containers", "applied", actual, NOTHING_TO_READ if facts.slots and not facts.seen else ""
        )
    idle = facts.slots - len(facts.seen)
    rest = f"{idle} of them start with their first chunk." if idle > 0 else ""
    return _report(facts, "containers", "verified", actual, rest)


def _cpus(facts: Facts) -> PartReport:
    allowed = facts.clipped.allowed
    read = [s.planned.cpus if s.reading.cpus_limit is None else s.reading.cpus_limit for s in facts.seen]
    words = _each([f"{cpus:.3g}" for cpus in read or [allowed.cpus]], "CPUs")
    pins = sorted({seen.reading.cpuset for seen in facts.seen if seen.reading.cpuset})
    actual = f"{words}, on {'; '.join(pins)}" if pins else words
    less = allowed.policy == "fixed" and any(s.planned.cpus < allowed.cpus - _CLOSE for s in facts.seen)
    waits = list(facts.room_waits)
    if less and not waits:
        waits = ["Containers that still end, or could not be removed, hold the rest."] if facts.leaving else []
    return _limit(facts, "cpus", actual, waits)


def _memory(facts: Facts) -> PartReport:
    read = [
        s.planned.memory if s.reading.memory_limit is None else s.reading.memory_limit - s.planned.scratch
        for s in facts.seen
    ]
    actual = _each([f"{size / MIB:.0f}" for size in read or [facts.clipped.allowed.memory]], "MiB")
    waits = [*facts.memory_waits, *facts.room_waits]
    over = [seen.name for seen in facts.seen if seen.planned.memory > facts.clipped.allowed.memory]
    if over and not waits:
        waits = [f"{_listed(over, 'has', 'have')} more than that, and must end."]
    found = _limit(facts, "memory", actual, waits)
    less = [seen.planned.scratch for seen in facts.seen if seen.planned.memory < facts.clipped.allowed.memory]
    if not less:
        return found
    scratch = f"{max(less) // MIB} MiB of scratch are memory too, and the volunteer's ceiling counts them in."
    return structs.replace(found, why=" ".join(each for each in (found.why, scratch) if each)[:LONGEST_SENTENCE])


def _weights(facts: Facts) -> str:
    words = {"low": 256, "normal": 1024, "high": 4096}
    read = sorted({s.planned.weight for s in facts.seen}) or [words[facts.clipped.allowed.priority]]
    return f"{facts.clipped.allowed.priority}, weight {', '.join(str(weight) for weight in read)}"


def _limit(facts: Facts, part: Part, actual: str, waits: Sequence[str] = ()) -> PartReport:
    """A part that is a limit of every container."""
    if facts.refused_sizes:
        return _report(facts, part, "failed", actual, f"The engine refused: {'; '.join(facts.refused_sizes)}.")
    verdicts = {seen.name: compared(seen.reading, seen.planned)[part] for seen in facts.seen}
    other = [name for name, same in verdicts.items() if same is False]
    if other:
        said = f"{_listed(other, 'reads', 'read')} back otherwise than planned."
        return _report(facts, part, "failed", actual, said, facts.mended)
    if waits:
        return _report(facts, part, "waiting", actual, *waits)
    if not verdicts:
        return _report(facts, part, "applied", actual, NOTHING_TO_READ)
    unread = [name for name, same in verdicts.items() if same is None]
    if unread:
        said = f"The control group of {', '.join(unread)} cannot be read here, so it cannot be verified."
        return _report(facts, part, "applied", actual, said)
    return _report(facts, part, "verified", actual, facts.mended)


def _disk(facts: Facts) -> PartReport:
    most = facts.clipped.allowed.disk
    if not most:
        return _report(facts, "disk", "applied", "no limit but the machine's")
    actual = f"{most // MIB} MiB"
    if facts.disk_over:
        return _report(facts, "disk", "waiting", actual, "More is used now: it goes as chunks and jobs end.")
    return _report(facts, "disk", "applied", actual)


def _jobs(facts: Facts) -> PartReport:
    patterns = facts.clipped.allowed.jobs
    actual = f"only {', '.join(patterns)}" if patterns else "all jobs"
    if facts.barred:
        return _report(facts, "jobs", "waiting", actual, f"{_listed(facts.barred, 'ends', 'end')} first.")
    return _report(facts, "jobs", "applied", actual)


def _policy(facts: Facts) -> PartReport:
    """It shows in how the containers' CPU is divided."""
    seen = _cpus(replace(facts, mended=""))
    return PartReport(part="policy", state=seen.state, actual=facts.clipped.allowed.policy, why=seen.why)


def _paused(facts: Facts) -> PartReport:
    actual = "paused" if facts.frozen else "takes no more chunks" if facts.paused_by else "works"
    if facts.refused_pauses:
        said = f"The engine refused: {'; '.join(facts.refused_pauses)}."
        return _report(facts, "paused", "failed", actual, facts.paused_by, said)
    states = {seen.name: seen.reading.frozen for seen in facts.seen}
    if any(frozen is not None and frozen != facts.frozen for frozen in states.values()):
        return _report(facts, "paused", "waiting", actual, facts.paused_by, "Not all containers are so yet.")
    if not states or None in states.values():
        return _report(facts, "paused", "applied", actual, facts.paused_by)
    return _report(facts, "paused", "verified", actual, facts.paused_by)


def _each(words: Sequence[str], unit: str) -> str:
    """`2 CPUs each`, or all where they differ."""
    if set(words) == {"1"}:
        return f"1 {unit.removesuffix('s')} each"
    return f"{words[0]} {unit} each" if len(set(words)) == 1 else f"{', '.join(words)} {unit}"


def _listed(names: Sequence[str], one: str, more: str) -> str:
    return f"{', '.join(names)} {one if len(names) == 1 else more}"
