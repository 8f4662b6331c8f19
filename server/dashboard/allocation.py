"""What a client is given: the form, and the way of a change from wanted to applied to read back. Pure but the form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flask_wtf import FlaskForm
from wtforms import BooleanField, FloatField, HiddenField, IntegerField
from wtforms.validators import InputRequired

from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, ContainerReport
from dockercomp.protocol.views import AllocationChange, ClientView
from server.dashboard.wording import MIB, ago, cpus, size
from server.enrolment import allocation_violations

_CPUS_CLOSE = 0.01
_PAGE = 4096


class AllocationForm(FlaskForm):  # type: ignore[misc]
    containers = IntegerField("Containers", [InputRequired("Enter a whole number.")])
    cpus = FloatField("CPUs per container", [InputRequired("Enter a number, such as 1.5.")])
    memory = IntegerField("Memory per container", [InputRequired("Enter a whole number of MiB.")])
    paused = BooleanField("Paused")
    version = HiddenField()

    @classmethod
    def of(cls, allocation: Allocation) -> "AllocationForm":
        """The form as it stands before anything is typed. Memory is in MiB."""
        return cls(
            formdata=None,
            containers=allocation.containers,
            cpus=allocation.cpus,
            memory=allocation.memory // MIB,
            paused=allocation.paused,
            version=str(allocation.version),
        )

    def change(self, now: Allocation, ceiling: Ceiling) -> AllocationChange | None:
        """What is asked for, if it is possible; else None, and the fields say why not."""
        if not self.validate_on_submit():
            return None
        # Memory that was not touched stays as it is to the byte, though the form shows whole MiB.
        memory = now.memory if self.memory.data == now.memory // MIB else self.memory.data * MIB
        change = AllocationChange(
            containers=self.containers.data, cpus=self.cpus.data, memory=memory, paused=self.paused.data
        )
        for field, reason in allocation_violations(change, ceiling):
            self[field].errors = [*self[field].errors, f"{reason[0].upper()}{reason[1:]}."]
        return None if self.errors else change


@dataclass(frozen=True)
class Step:
    """One step of a change's way."""

    name: str
    state: Literal["done", "now", "problem"]
    text: str
    note: str = ""


def way(client: ClientView) -> list[Step]:
    """Wanted, applied, read back: as far as the change has come."""
    wanted, applied = client.allocation, client.applied
    steps = [Step("Wanted", "done", _words(wanted))]
    if applied is None or applied.version < wanted.version:
        return [*steps, _on_its_way(client)]
    steps.append(Step("Applied by the worker", "done", _words(applied), applied.note))
    return [*steps, _read_back(client, applied)]


def settled(steps: Sequence[Step]) -> bool:
    """Whether the change has come all the way."""
    return all(step.state == "done" for step in steps)


def _on_its_way(client: ClientView) -> Step:
    if client.state == "alive":
        return Step("Applied by the worker", "now", "on its way: the worker gets it with its next sync")
    heard = f"the client is {client.state}, last heard of {ago(client.seen_s_ago)}"
    return Step("Applied by the worker", "problem", f"waiting: {heard}; it gets this when it is back")


def _read_back(client: ClientView, applied: AppliedAllocation) -> Step:
    name = "Read back from the cgroup"
    if client.state != "alive":
        return Step(name, "problem", f"nothing to read: the client is {client.state}")
    if not client.containers:
        return Step(name, "done", "no container runs now; the next ones start with these limits")
    differing = [f"{each.name}: {_difference(each)}" for each in client.containers if _difference(each)]
    if differing:
        return Step(name, "problem" if applied.verified else "now", "; ".join(differing))
    if not applied.verified:
        return Step(name, "now", "the worker is changing its containers")
    return Step(name, "done", _limits(client.containers))


def _words(given: Allocation | AppliedAllocation) -> str:
    if given.containers < 1:
        return "no containers"
    plural = "s" if given.containers > 1 else ""
    each = " each" if given.containers > 1 else ""
    paused = "; paused" if isinstance(given, Allocation) and given.paused else ""
    return f"{given.containers} container{plural}, {cpus(given.cpus)} CPUs and {size(given.memory)}{each}{paused}"


def _limits(containers: Sequence[ContainerReport]) -> str:
    """The limits that were read, each value once."""
    cores = sorted({each.cpus_limit or 0.0 for each in containers})
    memory = sorted({each.memory_limit or 0 for each in containers})
    sources = sorted({each.read_from for each in containers} - {""})
    read = f"{', '.join(map(cpus, cores))} CPUs and {', '.join(map(size, memory))} with scratch"
    return f"{len(containers)} of {len(containers)} containers: {read} ({', '.join(sources) or 'unknown source'})"


def _difference(container: ContainerReport) -> str:
    """How a container's limits differ from what was planned; empty where they do not."""
    if container.cpus_limit is None or container.memory_limit is None:
        return "its limits could not be read"
    if abs(container.cpus_limit - container.cpus_planned) > _CPUS_CLOSE:
        return f"{cpus(container.cpus_limit)} CPUs, planned {cpus(container.cpus_planned)}"
    if abs(container.memory_limit - container.memory_planned) >= _PAGE:
        return f"{size(container.memory_limit)}, planned {size(container.memory_planned)}"
    return ""
