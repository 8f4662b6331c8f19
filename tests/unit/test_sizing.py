"""What a container gets and has: pins are taken off, also where its engine has fewer CPUs than the machine."""

from pathlib import Path
from typing import Any

import pytest

from worker import sizing
from worker.cgroup import CgroupFiles
from worker.sizing import Sizing
from worker.tasks import Size


class Engine:
    """One that keeps what it is asked for in a control group, as the kernel shows it."""

    def __init__(self, group: Path) -> None:
        self.group = group

    def pid(self, container: str) -> int:
        return 1

    def update(self, container: str, cpus: float, memory: int, cpuset: str, weight: int) -> None:
        if cpuset:
            (self.group / "cpuset.cpus.effective").write_text(cpuset)


@pytest.mark.parametrize("pinned_first", [True, False])
def test_a_pin_is_taken_off_where_the_engine_has_some_cpus_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pinned_first: bool
) -> None:
    group = tmp_path / "engine" / "container"
    group.mkdir(parents=True)
    (group.parent / "cpuset.cpus.effective").write_text("4-7")
    (group / "cpuset.cpus.effective").write_text("4" if pinned_first else "4-7")
    monkeypatch.setattr(sizing, "cgroup_paths", lambda pid: CgroupFiles(2, group, group, group, group, group))
    floating, pinned = Size(0.5, 2**28, 0), Size(1.0, 2**28, 0, cpuset="4")
    engine: Any = Engine(group)
    container = Sizing(engine, pinned if pinned_first else floating)
    container.attach("c1")
    container.resize(pinned)
    assert container.reading().cpuset == "4"
    container.resize(floating)
    assert (group / "cpuset.cpus.effective").read_text() == "4-7", "all that its engine has, and no others"
    assert container.reading().cpuset == "", "which is not pinned"
