"""Reading control groups from recorded trees: versions 1 and 2, nested, hybrid, unreadable."""

from pathlib import Path

import pytest

from worker import cgroup, cpu_weight
from worker.tasks import Reading

ID = "92e675e13874f993094aa44736202e02fb2726f8a1968f7c0bf5d8743d3b0018"
PID = 4711

V1_MOUNTS = """\
23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 {root} /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
37 31 0:34 {root} /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 {root} /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_MEMBERSHIP = """\
9:name=systemd:{path}
8:pids:{path}
4:memory:{path}
5:cpuset:{path}
6:freezer:{path}
2:cpu,cpuacct:{path}
0::{path}
"""
V1_CPU = {
    "cpu.cfs_quota_us": "150000\n",
    "cpu.cfs_period_us": "100000\n",
    "cpu.shares": "256\n",
    "cpuacct.usage": "23985759\n",
}
V1_PINS = {"cpuset.cpus": "0-7\n", "cpuset.effective_cpus": "0-2,4\n"}
V1_MEMORY = {
    "memory.limit_in_bytes": "134217728\n",
    "memory.usage_in_bytes": "5000000\n",
    "memory.stat": "cache 3000000\ninactive_file 900000\ntotal_inactive_file 1000000\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}
V1_READING = Reading(
    cpus_limit=1.5,
    memory_limit=134217728,
    cpu_seconds=0.023985759,
    memory_used=4000000,
    oom_kills=2,
    weight=256,
    cpuset="0-2,4",
    frozen=False,
    source="cgroup v1",
)

V2_MOUNTS = """\
24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
29 24 0:26 {root} /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""
V2_FILES = {
    "cpu.max": "25000 100000\n",
    "cpu.weight": "39\n",
    "cpuset.cpus": "\n",
    "cpuset.cpus.effective": "0-3\n",
    "cgroup.events": "populated 1\nfrozen 1\n",
    "cpu.stat": "usage_usec 1250000\nuser_usec 1000000\nsystem_usec 250000\nnr_periods 3\n",
    "memory.max": "33554432\n",
    "memory.current": "2000000\n",
    "memory.stat": "anon 900000\nfile 700000\ninactive_file 500000\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n",
}
V2_READING = Reading(
    cpus_limit=0.25,
    memory_limit=33554432,
    cpu_seconds=1.25,
    memory_used=1500000,
    oom_kills=1,
    weight=cpu_weight.of_v2(39),
    cpuset="0-3",
    frozen=True,
    source="cgroup v2",
)


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def record(root: Path, mounts: str, membership: str) -> None:
    write(root / "proc" / "self", {"mountinfo": mounts})
    write(root / "proc" / str(PID), {"cgroup": membership})


def v1_tree(root: Path, *, mounted: str = "/", path: str = f"/docker/{ID}", below: str = f"docker/{ID}") -> None:
    record(root, V1_MOUNTS.format(root=mounted), V1_MEMBERSHIP.format(path=path))
    write(root / "sys/fs/cgroup/cpu,cpuacct" / below, V1_CPU)
    write(root / "sys/fs/cgroup/memory" / below, V1_MEMORY)
    write(root / "sys/fs/cgroup/cpuset" / below, V1_PINS)
    write(root / "sys/fs/cgroup/freezer" / below, {"freezer.state": "THAWED\n"})


def v2_tree(root: Path, *, mounted: str = "/", path: str = f"/system.slice/docker-{ID}.scope", below: str = "") -> Path:
    record(root, V2_MOUNTS.format(root=mounted), f"0::{path}\n")
    folder = root / "sys/fs/cgroup" / (below or path.lstrip("/"))
    write(folder, V2_FILES)
    return folder


def test_v1(tmp_path: Path) -> None:
    v1_tree(tmp_path)
    assert cgroup.read(PID, tmp_path) == V1_READING


def test_v2(tmp_path: Path) -> None:
    v2_tree(tmp_path)
    assert cgroup.read(PID, tmp_path) == V2_READING


def test_paths_found_once_are_read_again(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path)
    files = cgroup.cgroup_paths(PID, tmp_path)
    (tmp_path / "proc" / str(PID) / "cgroup").unlink()
    write(folder, {"cpu.max": "max 100000\n", "memory.max": "max\n", "memory.current": "100\n"})
    reading = files.read()
    assert (reading.cpus_limit, reading.memory_limit) == (None, None), "unlimited"
    assert reading.memory_used == 100, "page cache above the use is not taken off"


def test_v1_unlimited(tmp_path: Path) -> None:
    v1_tree(tmp_path)
    write(tmp_path / f"sys/fs/cgroup/cpu,cpuacct/docker/{ID}", {"cpu.cfs_quota_us": "-1\n"})
    write(tmp_path / f"sys/fs/cgroup/memory/docker/{ID}", {"memory.limit_in_bytes": "9223372036854771712\n"})
    reading = cgroup.read(PID, tmp_path)
    assert (reading.cpus_limit, reading.memory_limit) == (None, None)


def test_nested_v1_where_the_mount_shows_only_our_own_group(tmp_path: Path) -> None:
    v1_tree(tmp_path, mounted="/outer", path=f"/outer/docker/{ID}", below=f"docker/{ID}")
    assert cgroup.read(PID, tmp_path) == V1_READING


def test_nested_v2_where_the_mounts_root_is_above_our_namespace(tmp_path: Path) -> None:
    v2_tree(tmp_path, mounted="/..", path=f"/../docker/{ID}", below=f"docker/{ID}")
    assert cgroup.read(PID, tmp_path) == V2_READING


def test_a_group_outside_of_what_is_mounted_cannot_be_read(tmp_path: Path) -> None:
    v1_tree(tmp_path, mounted="/outer", path=f"/docker/{ID}")
    v2_tree(tmp_path / "two", path="/../sibling", below="sibling")
    assert cgroup.read(PID, tmp_path) == Reading()
    assert cgroup.read(PID, tmp_path / "two") == Reading()


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    v2_tree(tmp_path)
    assert cgroup.read(PID + 1, tmp_path) == Reading()


def test_parts_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    folder = v2_tree(tmp_path)
    (folder / "cpu.max").unlink()
    (folder / "memory.events").write_text("low 0\n")
    (folder / "memory.current").write_bytes(b"\xff\n")
    for name in ("cpu.weight", "cpuset.cpus.effective", "cgroup.events"):  # not delegated, or an older kernel
        (folder / name).unlink()
    assert cgroup.read(PID, tmp_path) == Reading(memory_limit=33554432, cpu_seconds=1.25, source="cgroup v2")


@pytest.mark.parametrize("shares", [2, 256, 1024, 4096, 262144])
def test_a_weight_is_the_same_however_the_runtime_translated_it(shares: int) -> None:
    line = 1 + (shares - 2) * 9999 // 262142
    assert cpu_weight.same(shares, shares)
    assert cpu_weight.same(cpu_weight.of_v2(line), shares)
    if curve := {2: 1, 1024: 100, 262144: 10000}.get(shares):  # what the curve was made to keep
        assert cpu_weight.same(cpu_weight.of_v2(curve), shares)
    assert not cpu_weight.same(cpu_weight.of_v2(line + 1), shares) and not cpu_weight.same(shares + 1.0, shares)


def test_a_hierarchy_in_a_folder_with_a_blank(tmp_path: Path) -> None:
    mounts = "29 24 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n"
    record(tmp_path, mounts, "0::/a:b\n")
    write(tmp_path / "my groups" / "a:b", V2_FILES)
    assert cgroup.read(PID, tmp_path) == V2_READING


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [("50000", "100000", 0.5), ("-1", "100000", None), ("max", "100000", None), ("1", "0", None), (None, None, None)],
)
def test_cores_of_quota_and_period(quota: str | None, period: str | None, cores: float | None) -> None:
    assert cgroup.cpu_share(quota, period) == cores
