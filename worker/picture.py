"""The machine as the keeper last looked at it: what the sync, `status` and the volunteer's page tell."""

from dataclasses import dataclass, field, replace

from msgspec import structs

from dockercomp.protocol.messages import AppliedAllocation, Ceiling, ContainerReport


@dataclass(frozen=True)
class Picture:
    """One look."""

    ceiling: Ceiling
    applied: AppliedAllocation | None = None
    containers: tuple[ContainerReport, ...] = ()
    able: int = 0
    """Slots that would take a chunk."""
    paused: str = ""
    """Why nothing is taken now, in a sentence; empty while chunks are."""
    problems: tuple[str, ...] = ()
    """What is wrong here and how to mend it, a sentence each."""
    rules: list[str] = field(default_factory=list)
    """When the volunteer lets it work."""

    @property
    def trouble(self) -> str:
        """All problems in a row, for the eye."""
        return " ".join(self.problems)

    def out_of_date(self, why: str) -> "Picture":
        """The same where looking failed: nothing in it is known to hold, and no more chunks are asked for."""
        applied = self.applied
        if applied is not None:
            parts = [structs.replace(part, state="failed", why=why) for part in applied.parts]
            applied = structs.replace(applied, verified=False, note=why, parts=parts)
        return replace(self, applied=applied, able=0, problems=(why,))

    def differs(self, other: "Picture") -> bool:
        """Whether the master should hear of it at once: not of the use of CPU and memory, nor of every chunk."""
        return _plain(self) != _plain(other)


def _plain(picture: Picture) -> object:
    ids = [
        (report.id, report.state in ("paused", "dead"), report.cpus_limit, report.memory_limit, report.cpuset)
        for report in picture.containers
    ]
    return ids, picture.applied, picture.ceiling, picture.paused, picture.able, picture.problems
