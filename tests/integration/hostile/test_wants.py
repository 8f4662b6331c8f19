"""Programs that were given capabilities: more than nobody, and no more than that."""

import pytest

from dockercomp.protocol.orders import CAPABILITIES
from tests.integration.hostile.lair import CALL, Lair, is_well, run, said
from tests.integration.hostile.test_kernel import ABSENT, SYSTEM_CALLS, asked
from tests.integration.hostile.test_next_chunk import looked
from worker.access import Access
from worker.container import WarmContainer


@pytest.fixture(scope="module")
def capable(lair: Lair) -> WarmContainer:
    """Root inside, with every capability that there is to be had."""
    return lair.container(access=Access(capabilities=tuple(sorted(CAPABILITIES))))


@pytest.fixture(scope="module")
def several(lair: Lair) -> WarmContainer:
    """Root inside, who can become others, and no more."""
    return lair.container(access=Access(capabilities=("CHOWN", "SETGID", "SETUID")))


def test_what_one_leaves_as_another_user_is_gone(several: WarmContainer) -> None:
    before = looked(several)
    script = """
import os, signal
os.makedirs("/tmp/theirs/deep"), open("/tmp/theirs/deep/x", "w").write("x"), os.chmod("/tmp/theirs/deep", 0o700)
for path in ("/tmp/theirs/deep/x", "/tmp/theirs/deep", "/tmp/theirs"): os.chown(path, 1000, 1000)
if not os.fork():
    os.setgid(1000), os.setuid(1000), os.setsid()
    open("/tmp/mine", "w"), os.chmod("/tmp/mine", 0), open("/dev/shm/mine", "w")
    signal.pause()
while not os.path.exists("/dev/shm/mine"): pass
print(os.getuid())
"""
    assert said(several, script) == "0\n"
    assert looked(several) == before


def test_capabilities_open_nothing_of_the_kernel(capable: WarmContainer) -> None:
    assert {name: why for name, why in asked(capable, SYSTEM_CALLS).items() if why != "EPERM"} == {}
    assert {name: why for name, why in asked(capable, ABSENT).items() if why != "ENOSYS"} == {}
    is_well(capable)


def test_root_inside_can_neither_end_nor_look_into_the_runner(capable: WarmContainer) -> None:
    script = (
        CALL
        + """
for number in range(1, 65): os.kill(1, number)
def opens(path):
    try:
        return bool(open(path, "rb").read(1))
    except OSError:
        return False
print([path for path in ("/proc/1/mem", "/proc/1/environ", "/proc/1/fd/3", "/proc/kcore", "/dev/mem") if opens(path)])
for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/fs/cgroup/memory/tasks", "/dc/runner"):
    try:
        print("wrote", path, open(path, "w").write("0"))
    except OSError:
        pass
"""
    )
    assert said(capable, script) == "[]\n"
    is_well(capable)
    run(capable, "open('/proc/1/oom_score_adj', 'w').write('1000')")
    is_well(capable)
