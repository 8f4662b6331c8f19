"""What a machine's CPUs share, read from made trees of /sys."""

from pathlib import Path

import pytest

from tests.made_machines import hybrid, tree
from worker.topology import Place, of_engine, read


def test_one_socket_with_two_threads_a_core(tmp_path: Path) -> None:
    root = tree(tmp_path, "0-7", siblings=["0,4", "1,5", "2,6", "3,7"], nodes=["0-7"])
    found = read(root)
    assert found[1] == found[5] == Place(core=1, node=0)
    assert len({place.core for place in found.values()}) == 4


def test_two_nodes(tmp_path: Path) -> None:
    found = read(tree(tmp_path, "0-3", nodes=["0,2", "1,3"]))
    assert [found[cpu].node for cpu in range(4)] == [0, 1, 0, 1]
    assert len({place.core for place in found.values()}) == 4


def test_sockets_stand_for_nodes_that_are_not_told(tmp_path: Path) -> None:
    found = read(tree(tmp_path, "0-3", sockets=[0, 0, 1, 1]))
    assert [found[cpu].node for cpu in range(4)] == [0, 0, 1, 1]


def test_272_threads(tmp_path: Path) -> None:
    siblings = [f"{core},{core + 68},{core + 136},{core + 204}" for core in range(68)]
    found = read(tree(tmp_path, "0-271", siblings=siblings, nodes=["0-271", ""]))
    assert len(found) == 272
    assert len({place.core for place in found.values()}) == 68
    assert found[271].core == 67


def test_cpus_that_are_off_are_not_there(tmp_path: Path) -> None:
    found = read(tree(tmp_path, "0,2-3,6", siblings=["0,4", "2,6"], nodes=["0-7"]))
    assert sorted(found) == [0, 2, 3, 6]
    assert found[6].core == 2 and found[3].core == 3


def test_kinds_of_cores(tmp_path: Path) -> None:
    found = read(hybrid(tmp_path))
    assert found[0].kind > found[4].kind
    arm = read(tree(tmp_path / "arm", "0-3", capacities=[1024, 1009, 446, 446]))
    assert [place.kind for place in arm.values()] == [4, 4, 2, 2]


@pytest.mark.parametrize("online", [None, "", "nonsense", "3-1", "\xff"])
def test_a_machine_that_says_nothing_has_no_cpus_to_pin_to(tmp_path: Path, online: str | None) -> None:
    root = tree(tmp_path, online or "") if online is not None else tmp_path
    assert read(root) == {} == of_engine(4, root)


def test_odd_files_cost_nothing_but_what_they_tell(tmp_path: Path) -> None:
    root = tree(tmp_path, "0-1", siblings=["0-1"], nodes=["0-1"], sockets=[0, 0])
    cpu = root / "devices/system/cpu/cpu1/topology"
    (cpu / "thread_siblings_list").write_text("all of them")
    (cpu / "physical_package_id").write_text("-1")
    (root / "devices/system/node/node0/cpulist").unlink()
    assert read(root) == {0: Place(0, 0), 1: Place(1, 0)}


def test_only_cpus_that_the_engine_may_use(tmp_path: Path) -> None:
    root = tree(tmp_path, "0-7", nodes=["0-7"])
    assert sorted(of_engine(8, root)) == list(range(8))
    assert of_engine(6, root) == {}, "which six is not known"
    group = root / "fs/cgroup/cpuset/docker"
    group.mkdir(parents=True)
    (group / "cpuset.effective_cpus").write_text("2-7\n")
    assert sorted(of_engine(6, root)) == [2, 3, 4, 5, 6, 7]


def test_a_group_of_version_2(tmp_path: Path) -> None:
    root = tree(tmp_path, "0-7", nodes=["0-7"])
    group = root / "fs/cgroup/system.slice"
    group.mkdir(parents=True)
    (group / "cpuset.cpus.effective").write_text("0-3\n")
    assert sorted(of_engine(4, root)) == [0, 1, 2, 3]


def test_this_machine_says_something() -> None:
    if not Path("/sys/devices/system/cpu/online").exists():
        pytest.skip("no Linux")
    assert read()
