"""Which CPUs containers are pinned to, on machines of several shapes."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_machines import hybrid
from worker.beside import Claims
from worker.cpu_list import parse
from worker.pinning import Cpus, Pins, placed, whole
from worker.topology import Place, Topology, read


def machine(nodes: int = 1, cores: int = 4, threads: int = 2) -> Topology:
    """CPUs numbered as Linux does mostly: all first threads, then all second ones."""
    count = nodes * cores
    return {
        thread * count + core: Place(core=core, node=core // cores)
        for thread in range(threads)
        for core in range(count)
    }


def cores(topology: Topology, cpus: Cpus) -> Counter[int]:
    return Counter(topology[cpu].core for cpu in cpus)


def nodes(topology: Topology, cpus: Cpus) -> set[int]:
    return {topology[cpu].node for cpu in cpus}


@st.composite
def machines(draw: st.DrawFn) -> Topology:
    whole_machine = machine(draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 4)))
    off = draw(st.sets(st.sampled_from(sorted(whole_machine)), max_size=len(whole_machine) - 1))
    return {cpu: place for cpu, place in whole_machine.items() if cpu not in off}


@given(machines(), st.data())
def test_no_cpu_twice_and_none_too_many(topology: Topology, data: st.DataObject) -> None:
    cpus = sorted(topology)
    free = frozenset(data.draw(st.sets(st.sampled_from(cpus))))
    held: dict[int, Cpus] = {}
    for _ in range(3):
        wanted = data.draw(st.dictionaries(st.integers(1, 6), st.integers(1, 8), max_size=5))
        spare = data.draw(st.integers(0, 3))
        found = placed(wanted, spare, topology, free, held)
        together = [cpu for taken in found.values() for cpu in taken]
        assert len(together) == len(set(together)) and set(together) <= free
        assert all(len(taken) == wanted[slot] for slot, taken in found.items())
        assert not found or len(free) - len(together) >= spare, "who floats has CPUs left"
        if sum(wanted.values()) + spare <= len(free):
            assert found.keys() == wanted.keys(), "nobody is left out while there is room"
            assert all(found[slot] == held[slot] for slot in found if len(held.get(slot, ())) == wanted[slot]), (
                "who needs as many keeps them"
            )
        held = found


@given(machines(), st.integers(1, 20))
def test_one_node_before_two(topology: Topology, count: int) -> None:
    found = placed({1: count}, 0, topology, frozenset(topology), {})
    in_nodes = Counter(place.node for place in topology.values())
    if any(size >= count for size in in_nodes.values()):
        assert len(nodes(topology, found[1])) == 1


@given(machines(), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_cores_of_ones_own_before_siblings(topology: Topology, counts: list[int]) -> None:
    one_node = {cpu: Place(place.core, 0) for cpu, place in topology.items()}
    found = placed(dict(enumerate(counts)), 0, one_node, frozenset(one_node), {})
    used = cores(one_node, frozenset().union(*found.values()))
    if sum(counts) <= len({place.core for place in one_node.values()}):
        assert set(used.values()) == {1}


def test_where_cores_are_too_few_each_program_has_whole_ones() -> None:
    topology = machine(1, 4, 2)
    found = placed({1: 4, 2: 2, 3: 2}, 0, topology, frozenset(topology), {})
    for taken in found.values():
        assert set(cores(topology, taken).values()) == {2}, "both threads of a core are one program's"


def test_a_container_that_grows_keeps_what_it_has_and_stays_in_its_node() -> None:
    topology = machine(2, 4, 1)
    free = frozenset(topology)
    first = placed({1: 2, 2: 1}, 0, topology, free, {})
    grown = placed({1: 3, 2: 1}, 0, topology, free, first)
    assert grown[1] > first[1] and grown[2] == first[2]
    assert len(nodes(topology, grown[1])) == 1
    shrunk = placed({1: 1, 2: 1}, 0, topology, free, grown)
    assert shrunk[1] < grown[1] and shrunk[2] == first[2]


def test_two_containers_on_two_nodes_get_one_each() -> None:
    topology = machine(2, 4, 2)
    found = placed({1: 8, 2: 8}, 0, topology, frozenset(topology), {})
    assert len(nodes(topology, found[1])) == len(nodes(topology, found[2])) == 1


def test_fast_cores_first_and_one_kind_of_core(tmp_path: Path) -> None:
    topology = read(hybrid(tmp_path))
    found = placed({1: 2, 2: 4}, 0, topology, frozenset(topology), {})
    assert {topology[cpu].kind for cpu in found[2]} == {2}, "four cores of one kind"
    assert {topology[cpu].kind for cpu in found[1]} == {4}, "and the fast ones are left for two"


def test_64_containers_on_272_threads_are_quick_enough() -> None:
    topology = machine(1, 68, 4)
    found = placed(dict.fromkeys(range(64), 4), 16, topology, frozenset(topology), {})
    assert len(found) == 64
    assert all(set(cores(topology, taken).values()) == {4} for taken in found.values())


@pytest.mark.parametrize(
    ("share", "count"), [(0.5, 0), (0.95, 0), (1, 1), (1.5, 0), (1.9, 2), (1.95, 2), (2, 2), (2.05, 0), (7.9, 8)]
)
def test_only_whole_cpus_are_pinned(share: float, count: int) -> None:
    assert whole(share) == count


class Others(Claims):
    """A host where other workers have some CPUs."""

    def __init__(self) -> None:
        super().__init__()
        self.others: set[int] = set()
        self.ours: set[int] = set()

    @property
    def held(self) -> Cpus:
        return frozenset(self.ours)

    def claim(self, cpus: object) -> Cpus:
        wanted = frozenset(cpus)  # type: ignore[call-overload]
        self.ours |= wanted - self.others
        return frozenset(wanted & self.ours)

    def release(self, cpus: object) -> None:
        self.ours -= set(cpus)  # type: ignore[call-overload]


def test_cpus_that_another_worker_has_are_not_used_until_it_leaves() -> None:
    claims = Others()
    claims.others = {0, 1}
    pins = Pins(machine(1, 4, 1), claims)
    found = pins.sets({1: 2.0, 2: 1.0}, [])
    assert parse(found[1]) == {2, 3} and claims.ours == {2, 3}
    assert found[2] == "0-1", "it floats over what this worker has not pinned"
    claims.others = set()
    found = pins.sets({1: 2.0, 2: 1.0}, [])
    assert parse(found[1]) == {2, 3} and len(parse(found[2])) == 1
    pins.none()
    assert not claims.ours


def test_what_is_not_used_any_more_is_given_back() -> None:
    claims = Others()
    pins = Pins(machine(1, 4, 1), claims)
    pins.sets({1: 2.0, 2: 2.0}, [])
    assert len(claims.ours) == 4
    pins.sets({1: 2.0}, [])
    assert len(claims.ours) == 2
    assert pins.together(4) == "0-3" and pins.together(5) is None
    assert len(claims.ours) == 4, "what was had stays"
    claims.others = {0}
    pins.none()
    assert pins.together(4) is None and not claims.ours, "what cannot be had whole is not kept in part"


@given(
    st.dictionaries(st.integers(1, 8), st.floats(0.05, 4), max_size=8), st.sets(st.integers(1, 8)), st.integers(2, 6)
)
def test_everybody_has_a_cpu(shares: dict[int, float], resting: set[int], cpus: int) -> None:
    found = Pins(machine(1, cpus, 1), Others()).sets(shares, resting)
    assert found.keys() == shares.keys()
    pinned = {slot for slot, cpuset in found.items() if cpuset and whole(shares[slot])}
    floating = sum(share for slot, share in shares.items() if slot not in resting and slot not in pinned)
    for slot, cpuset in found.items():
        if cpuset and slot not in pinned:
            assert len(parse(cpuset)) >= floating - 1e-6, "those that float have room for all of their shares"
        assert slot not in resting or cpuset == ""
