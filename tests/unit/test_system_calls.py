"""The list of system calls that containers get: what must never come onto it, and that it can be read."""

import json
from pathlib import Path
from typing import Any

import pytest

import worker

ENTRIES: list[dict[str, Any]] = json.loads((Path(worker.__file__).parent / "seccomp.json").read_text())["syscalls"]
GRANTED = [entry for entry in ENTRIES if entry["action"] == "SCMP_ACT_ALLOW"]
ALLOWED = {name for entry in GRANTED for name in entry["names"]}
ALONE = {name for entry in GRANTED if "args" not in entry for name in entry["names"]}
BY_ARGUMENT = ("socket", "socketpair", "clone", "prlimit64", "setpriority", "ioprio_set", "personality")
NEVER = """
    ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp move_pages migrate_pages mount umount
    umount2 pivot_root chroot unshare setns fsopen fsmount fsconfig fspick open_tree move_mount mount_setattr
    open_by_handle_at keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup io_uring_enter
    io_uring_register io_setup kexec_load kexec_file_load init_module finit_module delete_module syslog iopl ioperm
    modify_ldt reboot swapon swapoff acct quotactl quotactl_fd sethostname setdomainname fanotify_init vhangup
    mq_open settimeofday clock_settime clock_settime64 clock_adjtime adjtimex stime socketcall clone3 vmsplice
    lookup_dcookie nfsservctl uselib create_module
"""


@pytest.mark.parametrize("name", NEVER.split())
def test_what_reaches_beyond_a_container_is_not_allowed(name: str) -> None:
    assert name not in ALLOWED


@pytest.mark.parametrize("name", BY_ARGUMENT)
def test_what_depends_on_its_arguments_is_never_allowed_with_all(name: str) -> None:
    assert name in ALLOWED and name not in ALONE


def test_every_group_says_why_and_no_name_stands_in_two() -> None:
    assert all(len(entry["comment"]) > 10 for entry in ENTRIES)
    names = [name for entry in ENTRIES if "args" not in entry for name in entry["names"]]
    assert len(names) == len(set(names))
