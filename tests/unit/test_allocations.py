"""What can be given to a client: ranges, ways out, and what groups give their members."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dockercomp.protocol.errors import InvalidAllocation
from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, Machine, PartReport
from dockercomp.protocol.views import AllocationChange, GroupChange, GroupRule
from server import allocations
from server.allocations import CPUS_FLOOR, MEMORY_FLOOR, NO_GROUP, Group, allocation_violations, check_allocation
from server.progress import progress, standing

MIB = 2**20
CEILING = Ceiling(containers=8, cpus=4, memory=4 << 30, disk=10 << 30)
MACHINE = Machine(hostname="pc", cpus=2, memory=2 << 30, disk_free=1, platform="linux/amd64")
CHANGE = AllocationChange(containers=2, cpus=1.0, memory=256 * MIB)

ceilings = st.builds(
    Ceiling,
    containers=st.integers(0, 2000),
    cpus=st.floats(0, 512),
    memory=st.integers(0, 1 << 42),
    disk=st.one_of(st.just(0), st.integers(1, 1 << 42)),
)
numbers = st.one_of(st.floats(), st.floats(-1, 100), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 0.05]))
changes = st.builds(
    AllocationChange,
    containers=st.integers(-10, 3000),
    cpus=numbers,
    memory=st.integers(-(2**70), 2**70),
    disk=st.integers(-(2**70), 2**70),
    jobs=st.lists(st.text(max_size=5), max_size=3),
)


@given(changes, ceilings, st.one_of(st.none(), st.just(MACHINE)))
def test_what_is_not_refused_is_within_the_ceiling_and_can_be_held(
    change: AllocationChange, ceiling: Ceiling, machine: Machine | None
) -> None:
    violations = list(allocation_violations(change, ceiling, machine))
    assert all(reason for _, reason in violations)
    if violations:
        with pytest.raises(InvalidAllocation):
            check_allocation(change, ceiling, machine)
        return
    room = allocations.within(ceiling, machine)
    assert 0 <= change.containers <= room.containers
    assert change.containers * change.cpus <= room.cpus + 1e-5 and change.cpus >= CPUS_FLOOR
    assert change.containers * change.memory <= room.memory and change.memory >= MEMORY_FLOOR
    assert change.disk >= 0 and (not room.disk or change.disk <= room.disk)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        (replace(CHANGE, containers=9), "containers", "between 0 and 8"),
        (replace(CHANGE, containers=-1), "containers", "between 0 and 8"),
        (replace(CHANGE, cpus=0.0), "cpus", "from 0.05 to 4"),
        (replace(CHANGE, cpus=math.nan), "cpus", "from 0.05 to 4"),
        (replace(CHANGE, cpus=math.inf), "cpus", "from 0.05 to 4"),
        (replace(CHANGE, cpus=3.0), "cpus", "the volunteer's ceiling is 4 in all; at most 2 CPUs each, or 1 container"),
        (replace(CHANGE, memory=-5), "memory", "from 16 MiB to 4096 MiB"),
        (
            replace(CHANGE, memory=3 << 30),
            "memory",
            "ceiling is 4096 MiB in all; at most 2048 MiB each, or 1 container",
        ),
        (replace(CHANGE, disk=1), "disk", "0 (as the volunteer allows), or from 64 MiB to 10240 MiB"),
        (replace(CHANGE, disk=11 << 30), "disk", "to 10240 MiB, the volunteer's ceiling"),
        (replace(CHANGE, jobs=[""]), "jobs", "1 to 200 characters"),
        (replace(CHANGE, jobs=["a\0"]), "jobs", "1 to 200 characters"),
        (replace(CHANGE, jobs=["a" + " " * 200]), "jobs", "1 to 200 characters"),
        (replace(CHANGE, jobs=["a"] * 65), "jobs", "at most 64 patterns"),
    ],
)
def test_a_refusal_names_the_part_its_range_and_the_way_out(change: AllocationChange, field: str, says: str) -> None:
    ((found, reason),) = allocation_violations(change, CEILING)
    assert found == field and says in reason


def test_a_machine_smaller_than_its_ceiling_is_named() -> None:
    ((field, reason),) = allocation_violations(replace(CHANGE, cpus=1.5), CEILING, MACHINE)
    assert field == "cpus" and "the machine has 2 in all" in reason


groups = st.builds(
    GroupChange,
    rule=st.just(GroupRule()),
    share=st.floats(0.001, 1),
    containers=st.one_of(st.none(), st.integers(0, 1000)),
    cpus=st.one_of(st.none(), st.floats(CPUS_FLOOR, 1000)),
    memory=st.one_of(st.none(), st.integers(MEMORY_FLOOR, 1 << 40)),
    disk=st.one_of(st.just(0), st.integers(64 * MIB, 1 << 40)),
)


@given(groups, ceilings)
def test_what_a_group_gives_is_possible_for_every_member(group: GroupChange, ceiling: Ceiling) -> None:
    assert list(allocations.group_violations(group)) == []
    found = allocations.given(group, ceiling)
    wrong = {field for field, _ in allocation_violations(found, ceiling)}
    fits_one = ceiling.cpus >= CPUS_FLOOR and ceiling.memory >= MEMORY_FLOOR
    assert not wrong or not fits_one or (wrong == {"disk"} and ceiling.disk < 64 * MIB)
    if found.containers:
        assert found.containers * found.cpus <= ceiling.cpus * group.share + 1e-5
        assert found.containers * found.memory <= ceiling.memory * group.share


def test_a_group_gives_its_share_in_equal_containers_or_as_many_as_fit() -> None:
    def of(**told: Any) -> tuple[int, float, int]:
        found = allocations.given(GroupChange(rule=GroupRule(), **told), CEILING)
        return found.containers, found.cpus, found.memory // MIB

    assert of() == (8, 0.5, 512)
    assert of(share=0.5) == (8, 0.25, 256)
    assert of(containers=2) == (2, 2.0, 2048)
    assert of(cpus=1.0) == (4, 1.0, 1024)
    assert of(cpus=1.0, memory=2048 * MIB) == (2, 1.0, 2048)
    assert of(cpus=16.0) == (1, 4.0, 4096), "more than the ceiling is clipped"
    assert of(containers=100, memory=64 * MIB) == (8, 0.5, 64)


@pytest.mark.parametrize(
    "told",
    [
        {"share": 0.0}, {"share": math.nan}, {"share": 1.1}, {"containers": -1}, {"cpus": math.nan}, {"cpus": 0.0},
        {"memory": 1}, {"memory": 2**70}, {"disk": -1}, {"disk": 2**70}, {"order": -1}, {"order": 2**70},
        {"rule": GroupRule(least_cpus=math.nan)}, {"rule": GroupRule(least_memory=2**70)},
        {"rule": GroupRule(tags=["Big"])}, {"rule": GroupRule(name="x" * 300)}, {"jobs": [" "]},
    ],
)  # fmt: skip
def test_a_group_that_makes_no_sense_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(InvalidAllocation):
        allocations.check_group(GroupChange(**{"rule": GroupRule(), **told}))


def test_a_client_belongs_to_the_first_group_that_it_fits() -> None:
    def group(called: str, order: int, **rule: Any) -> Group:
        return Group(called, 1, GroupChange(rule=GroupRule(**rule), order=order))

    client = {
        "owner": "lab",
        "name": "gpu-7",
        "tags": ["big", "night"],
        "machine": {"cpus": 8, "memory": 1 << 34, "platform": "linux/amd64"},
    }
    everybody, big = group("everybody", 100), group("big", 50, tags=["big"])
    assert allocations.group_of(client, [everybody, big]) is big
    assert allocations.group_of(client | {"tags": []}, [everybody, big]) is everybody
    assert allocations.group_of(client, []) is NO_GROUP
    for rule in ({"owner": "lab"}, {"name": "gpu-*"}, {"platform": "linux/amd64"}, {"least_cpus": 8.0}):
        assert allocations.group_of(client, [group("it", 1, **rule)]).name == "it"
    for rule in ({"owner": "x"}, {"name": "cpu-*"}, {"platform": "x"}, {"least_cpus": 8.5}, {"tags": ["big", "day"]}):
        assert allocations.group_of(client, [group("it", 1, **rule)]) is NO_GROUP
    equal = [group("b", 1), group("a", 1)]
    assert allocations.group_of(client, equal).name == "a"


# --- how far it has come ---------------------------------------------------------------------------------------------

APPLIED = AppliedAllocation(version=2, containers=2, cpus=1, memory=256 * MIB, verified=True)


def parts(*states: str, why: str = "") -> AppliedAllocation:
    names = ("containers", "cpus", "memory")
    told = [PartReport(part=name, state=state, why=why) for name, state in zip(names, states, strict=True)]  # type: ignore[arg-type]
    return replace(APPLIED, parts=told)


@pytest.mark.parametrize(
    ("applied", "containers", "stands"),
    [
        (parts("applied", "verified", "verified"), 1, (True, True)),
        (parts("applied", "applied", "applied"), 0, (True, False)),
        (parts("waiting", "verified", "verified"), 1, (False, False)),
        (parts("applied", "verified", "failed"), 1, (False, False)),
        (replace(parts("applied", "verified", "verified"), verified=False), 1, (True, False)),
        (APPLIED, 1, (True, True)),
        (APPLIED, 0, (True, False)),
        (replace(APPLIED, verified=False), 1, (True, False)),
    ],
)
def test_verified_is_only_what_was_read_back(
    applied: AppliedAllocation, containers: int, stands: tuple[bool, bool]
) -> None:
    found = standing(applied, containers)
    assert (found.applied, found.verified) == stands


def test_drift_is_what_a_worker_put_right() -> None:
    assert standing(parts("applied", "verified", "verified", why="put right: 2 CPUs"), 1).drifted == "put right: 2 CPUs"
    assert standing(parts("applied", "verified", "verified", why="cut by the ceiling"), 1).drifted == ""


def test_a_change_is_followed_step_by_step() -> None:
    wanted = Allocation(version=2, containers=2, cpus=1, memory=256 * MIB, jobs=["a*"])
    client: dict[str, Any] = {
        "seen": 50.0,
        "author": "root",
        "wanted_at": 40.0,
        "allocation": {"version": 2, "containers": 2, "cpus": 1.0, "memory": 256 * MIB, "jobs": ["a*"]},
    }
    assert wanted.jobs == ["a*"]

    def states(applied: AppliedAllocation | None = None, **way: Any) -> set[str]:
        return {part.state for part in progress(client | {"way": way}, applied, 60.0).parts}

    assert states() == {"wanted"}
    assert states(version=1, sent=30.0, received=31.0) == {"wanted"}
    assert states(version=2, sent=45.0) == {"sent"}
    assert states(replace(APPLIED, version=1), version=2, sent=45.0) == {"sent"}
    assert states(parts("applied", "verified", "waiting"), version=2, sent=45.0, received=46.0) == {
        "applied", "verified", "waiting", "received",
    }  # fmt: skip
    found = progress(client | {"way": {"version": 2, "sent": 45.0, "received": 46.0}}, None, 60.0)
    assert (found.author, found.wanted_s_ago, found.sent_s_ago, found.received_s_ago) == ("root", 20, 15, 14)
    assert found.applied_s_ago is None and found.verified_s_ago is None
    assert {part.part: part.wanted for part in found.parts}["jobs"] == "a*"
