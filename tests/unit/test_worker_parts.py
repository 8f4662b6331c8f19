"""How far each part of an allocation has come: what is verified, what waits, what failed, and why."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.protocol.messages import Allocation, Ceiling, Part, PartReport
from worker.limits import MIB, Clipped, clip
from worker.parts import Facts, Seen, reports, verified
from worker.tasks import Reading, Size

ALLOWED = Allocation(version=1, containers=2, cpus=0.5, memory=256 * MIB)
SIZE = Size(cpus=0.5, memory=256 * MIB, scratch=16 * MIB)
READ = Reading(
    cpus_limit=0.5,
    memory_limit=272 * MIB,
    memory_used=MIB,
    weight=1024,
    cpuset="",
    frozen=False,
    source="cgroup v1",
)
SEEN = Seen("dc-1", SIZE, READ)
FACTS = Facts(Clipped(ALLOWED), [SEEN], slots=2)


def parts(facts: Facts) -> dict[Part, PartReport]:
    return {report.part: report for report in reports(facts)}


def state(facts: Facts, part: Part) -> str:
    return parts(facts)[part].state


def test_what_is_read_back_as_planned_is_verified() -> None:
    found = parts(FACTS)
    assert [found[part].state for part in ("containers", "cpus", "memory", "priority", "policy", "paused")] == [
        "verified"
    ] * 6
    assert (found["cpus"].actual, found["memory"].actual) == ("0.5 CPUs each", "256 MiB each")
    assert verified(found.values())


def test_where_nothing_runs_nothing_is_verified() -> None:
    found = parts(replace(FACTS, seen=[]))
    assert {report.state for report in found.values()} == {"applied"}
    assert "nothing to read back" in found["cpus"].why and not verified(found.values())


def test_limits_that_cannot_be_read_are_applied_and_that_is_said() -> None:
    found = parts(replace(FACTS, seen=[SEEN, replace(SEEN, name="dc-2", reading=Reading())]))
    assert found["cpus"].state == found["memory"].state == found["containers"].state == "applied"
    assert "dc-2 cannot be read" in found["cpus"].why and not verified(found.values())


def test_limits_that_read_otherwise_have_failed() -> None:
    facts = replace(FACTS, seen=[replace(SEEN, reading=replace(READ, cpus_limit=2.0))])
    assert (state(facts, "cpus"), state(facts, "memory")) == ("failed", "verified")
    assert "dc-1 reads back otherwise" in parts(facts)["cpus"].why and not verified(reports(facts))


def test_scratch_that_makes_memory_less_than_asked_for_is_named() -> None:
    smaller = Seen("dc-1", replace(SIZE, memory=240 * MIB), replace(READ, memory_limit=256 * MIB))
    found = parts(replace(FACTS, seen=[smaller]))["memory"]
    assert (found.state, found.actual) == ("verified", "240 MiB each") and "16 MiB of scratch" in found.why
    assert not parts(FACTS)["memory"].why


def test_what_the_engine_refused_is_in_its_own_words() -> None:
    facts = replace(FACTS, refused_sizes=["dc-1: Requested CPUs are not available"])
    assert "Requested CPUs are not available" in parts(facts)["cpus"].why and state(facts, "cpus") == "failed"
    assert not verified(reports(facts))
    facts = replace(FACTS, refused_pauses=["dc-1: no"])
    assert (state(facts, "paused"), state(facts, "cpus")) == ("failed", "verified")


@pytest.mark.parametrize(
    ("facts", "part", "why"),
    [
        (replace(FACTS, memory_waits=["dc-1 uses 400 MiB."]), "memory", "uses 400 MiB"),
        (replace(FACTS, seen=[replace(SEEN, planned=replace(SIZE, memory=300 * MIB))]), "memory", "failed"),
        (replace(FACTS, seen=[replace(SEEN, leaving=True)], leaving=1), "containers", "dc-1 ends its chunk first"),
        (replace(FACTS, barred=["map 3"]), "jobs", "map 3 ends first"),
        (replace(FACTS, room_waits=["1 CPU is not free yet"]), "cpus", "not free yet"),
        (replace(FACTS, frozen=True, paused_by="Paused by an admin."), "paused", "Paused by an admin."),
    ],
)
def test_what_comes_by_itself_waits_and_says_for_what(facts: Facts, part: Part, why: str) -> None:
    found = parts(facts)[part]
    if why == "failed":
        assert found.state == "failed"
    else:
        assert found.state == "waiting" and why in found.why
    assert not verified(reports(facts))


def test_a_container_that_has_more_than_allowed_is_not_verified() -> None:
    larger = replace(SIZE, memory=512 * MIB)
    facts = replace(FACTS, seen=[replace(SEEN, planned=larger, reading=replace(READ, memory_limit=528 * MIB))])
    assert state(facts, "memory") == "waiting" and not verified(reports(facts))


def test_what_was_cut_is_said_with_the_part_that_was() -> None:
    wanted = replace_allocation(containers=9, cpus=4.0)
    found = parts(replace(FACTS, clipped=clip(wanted, Ceiling(containers=2, cpus=1.0, memory=2**40))))
    assert "2 of 9 containers" in found["containers"].why and "0.5 of 4 CPUs" in found["cpus"].why
    assert not found["memory"].why and found["cpus"].state == "verified"


def test_a_container_that_could_not_be_removed_is_a_failure_of_their_number() -> None:
    found = parts(replace(FACTS, left=["The container dc-9 could not be removed"]))
    assert found["containers"].state == "failed" and "dc-9" in found["containers"].why


def replace_allocation(**changes: object) -> Allocation:
    return Allocation(**({"version": 1, "containers": 2, "cpus": 0.5, "memory": 256 * MIB} | changes))  # type: ignore[arg-type]


readings = st.builds(
    Reading,
    cpus_limit=st.none() | st.floats(0, 10),
    memory_limit=st.none() | st.integers(0, 2**40),
    memory_used=st.none() | st.integers(0, 2**40),
    weight=st.none() | st.floats(2, 262144),
    cpuset=st.none() | st.sampled_from(["", "0", "0-3"]),
    frozen=st.none() | st.booleans(),
    source=st.sampled_from(["", "cgroup v1", "cgroup v2"]),
)
words = st.lists(st.text(max_size=3000), max_size=2)


@given(
    st.lists(st.builds(Seen, st.just("dc-1"), st.just(SIZE), readings, st.booleans(), st.booleans()), max_size=3),
    st.integers(0, 3),
    st.booleans(),
    st.text(max_size=100),
    words,
    words,
)
def test_every_part_is_told_once_and_fits_into_a_message(
    seen: list[Seen], leaving: int, frozen: bool, paused_by: str, refused: list[str], waits: list[str]
) -> None:
    facts = Facts(Clipped(ALLOWED), seen, 2, leaving, frozen, paused_by, waits, refused_sizes=refused)
    found = reports(facts)
    assert [report.part for report in found] != [] and {report.part for report in found} == set(get_args(Part))
    assert len(found) == len(get_args(Part))
    assert all(len(report.why) <= 2000 and len(report.actual) <= 500 for report in found)
    if verified(found):
        assert seen and not refused and not waits
        assert all(each.reading.cpus_limit is not None and each.reading.memory_limit is not None for each in seen)
