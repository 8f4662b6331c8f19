"""What changed from one allocation to the next, in words. Pure."""

from dockercomp.protocol.messages import Allocation
from server.dashboard.wording import cpus, size

_NEW = Allocation(version=0, containers=0, cpus=0, memory=0)


def between(before: Allocation | None, after: Allocation) -> list[str]:
    """One entry for each field that differs, such as `CPUs each 1 → 1.5`; all that differs from a new client's where
    there was none before."""
    old, new = _told(before or _NEW), _told(after)
    return [f"{name} {old[name] + ' → ' if before else ''}{value}" for name, value in new.items() if value != old[name]]


def _told(given: Allocation) -> dict[str, str]:
    return {
        "containers": str(given.containers),
        "CPUs each": cpus(given.cpus),
        "memory each": size(given.memory),
        "disk": size(given.disk) if given.disk else "no limit",
        "jobs": ", ".join(given.jobs) or "all",
        "priority": given.priority,
        "division": given.policy,
        "chunks of containers that go": "requeued" if given.shrink == "requeue" else "drained",
        "memory at once": "yes" if given.force else "no",
        "paused": "yes" if given.paused else "no",
    }
