"""What `dockercomp-worker status` and `limits` tell a volunteer."""

from msgspec import structs

from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, ContainerReport, PartReport
from worker import describe
from worker.limits import MIB
from worker.status import Status

PARTS = [
    PartReport(part="cpus", state="verified", actual="0.5 CPUs each", why="put right: dc-1 had 2 CPUs"),
    PartReport(part="memory", state="waiting", actual="512 MiB each", why="dc-1 uses 400 MiB now."),
    PartReport(part="paused", state="failed", actual="paused", why="The engine refused: dc-1: no."),
]
STATUS = Status(
    state="working",
    sentence="Running 1 chunks, 0 more at hand. The engine refused: dc-1: no.",
    pid=7,
    ceiling=Ceiling(containers=2, cpus=1.0, memory=1024 * MIB),
    allocation=Allocation(version=3, containers=1, cpus=0.5, memory=256 * MIB),
    applied=AppliedAllocation(version=3, containers=1, cpus=0.5, memory=256 * MIB, verified=False, parts=PARTS),
    problems=["The engine refused: dc-1: no.", "The configuration was edited, but is not used: line 2."],
    containers=[
        ContainerReport(
            name="dc-1",
            id="1",
            job="j",
            state="running",
            image="i",
            cpus_limit=0.5,
            memory_limit=512 * MIB,
            cpuset="0-3",
            weight=4096.0,
        ),
        ContainerReport(name="dc-2", id="2", job="j", state="starting", image="i"),
    ],
)


def test_status_says_what_is_wrong_once_and_what_an_allocation_waits_for() -> None:
    page = describe.status(STATUS, 0.0)
    assert page.count("The engine refused: dc-1: no.\n") == 1 + 1, "in what it does now, and at the part that failed"
    assert "Problem     The configuration was edited, but is not used: line 2." in page
    assert "Waits       memory: 512 MiB each, waiting. dc-1 uses 400 MiB now." in page
    assert "put right" not in page, "what is well stands in `limits`"


def test_limits_shows_every_part_with_its_state() -> None:
    page = describe.limits(STATUS)
    assert "Part        cpus: 0.5 CPUs each, verified. put right: dc-1 had 2 CPUs" in page
    assert page.count("\nPart ") == len(PARTS) and "Verified    no" in page
    row, starting = page.splitlines()[-2:]
    assert "0-3" in row and "4096" in row and "512 MiB" in row
    assert "any" in starting and "-" in starting


def test_nothing_is_known_before_the_first_contact() -> None:
    assert "Part" not in describe.limits(structs.replace(STATUS, applied=None, problems=[], containers=[]))
