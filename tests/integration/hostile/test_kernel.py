"""What a program asks of the kernel: no way out of its container, and none to the machine or the network."""

import json
import socket
from typing import Any

import pytest

from tests.integration.hostile.lair import CALL, is_well, said
from worker.container import WarmContainer

SYSTEM_CALLS: dict[str, tuple[int, tuple[object, ...]]] = {
    # other processes
    "ptrace": (101, (0, 0, 0, 0)),
    "process_vm_readv": (310, (1, 0, 0, 0, 0, 0)),
    "process_vm_writev": (311, (1, 0, 0, 0, 0, 0)),
    "kcmp": (312, (1, 1, 0, 0, 0)),
    "pidfd_getfd": (438, (0, 0, 0)),
    "process_madvise": (440, (0, 0, 0, 0, 0)),
    "move_pages": (279, (1, 0, 0, 0, 0, 0)),
    "migrate_pages": (256, (1, 0, 0, 0)),
    "prlimit64 of the runner": (302, (1, 0, 0, 0)),
    "prlimit64 of the runner, with a high word": (302, ((1 << 32) + 1, 0, 0, 0)),
    "setpriority of the runner": (141, (0, 1, 19)),
    "setpriority of a group": (141, (1, 1, 19)),
    "setpriority of the user": (141, (2, 65534, 19)),
    "ioprio_set of the runner": (251, (1, 1, 0x6007)),
    "ioprio_set of the user": (251, (3, 65534, 0x6007)),
    "sched_setscheduler of the runner": (144, (1, 5, 0)),
    "sched_setparam of the runner": (142, (1, 0)),
    "sched_setattr of the runner": (314, (1, 0, 0)),
    # namespaces and mounts
    "unshare of the user namespace": (272, (0x10000000,)),
    "unshare of the mount namespace": (272, (0x00020000,)),
    "clone into a user namespace": (56, (0x10000011, 0, 0, 0, 0)),
    "setns": (308, (0, 0)),
    "mount": (165, (0, 0, 0, 0, 0)),
    "umount2": (166, (0, 0)),
    "pivot_root": (155, (0, 0)),
    "chroot": (161, (0,)),
    "fsopen": (430, (0, 0)),
    "fsmount": (432, (0, 0, 0)),
    "fsconfig": (431, (0, 0, 0, 0, 0)),
    "open_tree": (428, (0, 0, 0)),
    "move_mount": (429, (0, 0, 0, 0, 0)),
    "mount_setattr": (442, (0, 0, 0, 0, 0)),
    "open_by_handle_at": (304, (0, 0, 0)),
    "name_to_handle_at": (303, (0, 0, 0, 0, 0)),
    # the kernel itself
    "add_key": (248, (0, 0, 0, 0, 0)),
    "request_key": (249, (0, 0, 0, 0)),
    "keyctl": (250, (0, 0, 0, 0, 0)),
    "bpf": (321, (0, 0, 0)),
    "perf_event_open": (298, (0, 0, 0, 0, 0)),
    "userfaultfd": (323, (1,)),
    "kexec_load": (246, (0, 0, 0, 0)),
    "kexec_file_load": (320, (0, 0, 0, 0, 0)),
    "init_module": (175, (0, 0, 0)),
    "finit_module": (313, (0, 0, 0)),
    "delete_module": (176, (0, 0)),
    "syslog": (103, (3, 0, 0)),
    "iopl": (172, (3,)),
    "ioperm": (173, (0, 1, 1)),
    "modify_ldt": (154, (0, 0, 0)),
    "vmsplice": (278, (0, 0, 0, 0)),
    "memfd_secret": (447, (0,)),
    "personality without random addresses": (135, (0x0040000,)),
    # the machine
    "reboot": (169, (0, 0, 0, 0)),
    "swapon": (167, (0, 0)),
    "swapoff": (168, (0,)),
    "acct": (163, (0,)),
    "quotactl": (179, (0, 0, 0, 0)),
    "sethostname": (170, (0, 0)),
    "setdomainname": (171, (0, 0)),
    "fanotify_init": (300, (0, 0)),
    "vhangup": (153, ()),
    "mq_open": (240, (0, 0, 0, 0)),
    "settimeofday": (164, (0, 0)),
    "clock_settime": (227, (0, 0)),
    "clock_adjtime": (305, (0, 0)),
    "adjtimex": (159, (0,)),
    # sockets of families that load parts of the kernel, or lead out of a virtual machine
    **{
        f"socket of family {family}": (41, (family, 3, 0))
        for family in (3, 4, 5, 9, 15, 17, 21, 29, 30, 31, 38, 40, 44)
    },
    "socket, raw": (41, (2, 3, 1)),
    "socket, netlink for devices": (41, (16, 3, 15)),
    "socket, netlink generic": (41, (16, 3, 16)),
    "socketpair of another family": (53, (30, 1, 0, 0)),
}
ABSENT = {
    "clone3": (435, (0, 0)),
    "io_uring_setup": (425, (1, 0)),
    "io_setup": (206, (1, 0)),
    "io_submit": (209, (0, 0, 0)),
}


def asked(container: WarmContainer, calls: dict[str, tuple[int, tuple[object, ...]]]) -> dict[str, str]:
    script = f"{CALL}\nprint(json.dumps({{name: call(n, *given) for name, (n, given) in {calls!r}.items()}}))"
    found: dict[str, str] = json.loads(said(container, script))
    return found


def test_system_calls_that_nobody_needs_are_refused(warm: WarmContainer) -> None:
    assert {name: why for name, why in asked(warm, SYSTEM_CALLS).items() if why != "EPERM"} == {}
    assert {name: why for name, why in asked(warm, ABSENT).items() if why != "ENOSYS"} == {}
    is_well(warm)


def test_what_programs_do_need_is_allowed(warm: WarmContainer) -> None:
    script = """
import ctypes, json, mmap, multiprocessing, os, resource, socket, subprocess, tempfile, threading, time
with multiprocessing.Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
    server.accept()[0].sendall(b"hello")
    assert client.recv(9) == b"hello"
socket.getaddrinfo("127.0.0.1", 80), socket.if_nameindex(), socket.socketpair()
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
os.sched_setaffinity(0, os.sched_getaffinity(0)), os.nice(1), os.mkfifo("/tmp/pipe")
thread = threading.Thread(target=time.sleep, args=(0,)); thread.start(); thread.join()
os.sync()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.shmget(1, 4096, 0o1600) >= 0 and libc.semget(1, 1, 0o1600) >= 0 and libc.msgget(1, 0o1600) >= 0
assert subprocess.run(["sh", "-c", "echo $((6 * 7)) | cat"], capture_output=True).stdout == b"42\\n"
print("all")
"""
    assert said(warm, script) == "all\n"


_MACHINE_CODE = """
import mmap, struct, signal
def by_interrupt(number, first, second, third):
    "The system call of a 32-bit program: int 0x80."
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(b"\\x53\\xb8" + struct.pack("<I", number) + b"\\xbb" + struct.pack("<I", first) + b"\\xb9"
               + struct.pack("<I", second) + b"\\xba" + struct.pack("<I", third) + b"\\xcd\\x80\\x5b\\xc3")
    said = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    return errno.errorcode[-said] if said < 0 else "done"
def in_a_child(act):
    child = os.fork()
    if not child:
        os._exit(0 if act() == "done" else 1)
    return os.waitpid(child, 0)[1]
"""


def test_no_other_door_leads_to_the_same_system_calls(warm: WarmContainer) -> None:
    """Those of 32-bit programs have other numbers; those of x32 set a bit in them."""
    script = (
        CALL
        + _MACHINE_CODE
        + "found = [by_interrupt(20, 0, 0, 0)]\n"  # getpid
        + "found += [by_interrupt(*each) for each in ((26, 0, 0, 0), (310, 0x10000000, 0, 0), (359, 38, 5, 0),\n"
        + "    (102, 1, 0, 0), (340, 1, 0, 0), (97, 0, 1, 19))]\n"
        + "found.append(bool(in_a_child(lambda: call(0x40000000 + 39))))\n"
        + "print(found)"
    )
    assert said(warm, script) == f"{['done', *['EPERM'] * 3, 'ENOSYS', *['EPERM'] * 2, True]}\n"
    is_well(warm)


READS = (
    *("/proc/kcore", "/proc/kmsg", "/proc/1/mem", "/proc/1/environ", "/proc/1/maps", "/proc/1/fd", "/proc/1/root"),
    *("/proc/1/cwd", "/proc/1/syscall", "/proc/1/stack", "/proc/timer_list", "/proc/keys", "/sys/firmware/acpi"),
    *("/dev/mem", "/dev/kmsg", "/dev/port", "/dev/sda", "/dev/vda", "/dev/fuse", "/dev/kvm", "/dev/net/tun"),
    *("/var/run/docker.sock", "/run/docker.sock", "/etc/shadow", "/proc/1/oom_score_adj.new", "/sys/kernel/debug/x"),
)
WRITES = (
    *("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/sysrq-trigger", "/proc/irq/0/x"),
    *("/proc/1/oom_score_adj", "/proc/1/comm", "/proc/1/clear_refs", "/proc/1/coredump_filter", "/sys/power/state"),
    *("/sys/kernel/mm/ksm/run", "/etc/passwd", "/etc/ld.so.preload", "/usr/bin/x", "/dev/x", "/dev/mqueue/x", "/dc/x"),
    *("/dc/runner", "/dc/job/x", "/dc/in/x", "/dc/allocation/now", "/dc/socket/x", "/run/x", "/root/x", "/var/lib/x"),
)


def test_files_of_the_kernel_and_the_machine_stay_shut(warm: WarmContainer) -> None:
    script = f"""
import json, os
def opens(path, flags):
    try:
        with open(os.open(path, flags), "rb") as file:
            return flags != os.O_RDONLY or bool(file.read(1))
    except OSError:
        return False
found = [path for path in {READS!r} if opens(path, os.O_RDONLY)]
found += [path for path in {WRITES!r} if opens(path, os.O_WRONLY) or opens(path, os.O_WRONLY | os.O_CREAT)]
for folder, _, names in os.walk("/sys/fs/cgroup"):
    found += [path for path in (os.path.join(folder, name) for name in names) if os.access(path, os.W_OK)]
for kind in (0o020666, 0o060666):
    try:
        os.mknod("/tmp/device", kind, os.makedev(1, 1))
        found.append("a device")
    except PermissionError:
        pass
print(json.dumps(found))
"""
    assert json.loads(said(warm, script)) == []
    is_well(warm)


def test_setuid_files_give_nothing(warm: WarmContainer) -> None:
    """The image's mount is setuid root: as root it would go on to the kernel, which says otherwise."""
    script = """
import os, shutil, subprocess
assert os.stat("/usr/bin/mount").st_mode & 0o4000
print(subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True).stderr.split("\\n")[0])
shutil.copy("/usr/bin/id", "/tmp/id")
os.chmod("/tmp/id", 0o6755)
print(subprocess.run(["/tmp/id", "-u"], capture_output=True, text=True).stdout.strip())
print([line.split()[1] for line in open("/proc/self/status") if line.startswith(("NoNewPrivs", "CapBnd", "CapEff"))])
"""
    lines = said(warm, script).splitlines()
    assert "superuser" in lines[0] and lines[1] == "65534"
    assert lines[2] == str(["0" * 16, "0" * 16, "1"])


def test_there_is_no_network(warm: WarmContainer) -> None:
    """Not the cloud's metadata service, not the machine's own services, not its neighbours."""
    with socket.create_server(("127.0.0.1", 0)) as host_server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0dc-hostile-test")
        abstract.listen()
        places: list[Any] = [("169.254.169.254", 80), ("8.8.8.8", 53), ("10.0.0.1", 80), ("172.17.0.1", 2375)]
        places += [("192.168.1.1", 22), host_server.getsockname()]
        script = f"""
import socket
reached = []
def tries(family, kind, place, name):
    with socket.socket(family, kind) as s:
        try:
            s.settimeout(5)
            s.connect(place)
            reached.append(name)
        except OSError as error:
            assert not isinstance(error, TimeoutError), name
for place in {places!r}:
    tries(socket.AF_INET, socket.SOCK_STREAM, place, place)
    if place[0] != "127.0.0.1":
        tries(socket.AF_INET, socket.SOCK_DGRAM, place, place)
tries(socket.AF_INET6, socket.SOCK_STREAM, ("2001:4860:4860::8888", 53), "IPv6")
tries(socket.AF_INET6, socket.SOCK_STREAM, ("fe80::1", 80), "IPv6 link")
tries(socket.AF_UNIX, socket.SOCK_STREAM, "\\0dc-hostile-test", "the host's abstract socket")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    try:
        s.sendto(b"x", ("255.255.255.255", 9))
        reached.append("broadcast")
    except OSError:
        pass
try:
    socket.getaddrinfo("example.org", 80)
    reached.append("names")
except socket.gaierror:
    pass
print(reached, [name for _, name in socket.if_nameindex()])
"""
        assert said(warm, script) == "[] ['lo']\n"


@pytest.mark.parametrize("place", ["/proc/self/mountinfo"])
def test_other_containers_folders_are_not_mounted(warm: WarmContainer, neighbour: WarmContainer, place: str) -> None:
    mounted = said(warm, f"print(open({place!r}).read())")
    assert "/slots/0/in" in mounted
    assert "/slots/1/" not in mounted
    assert said(warm, "import os; print(sorted(os.listdir('/dc')))") == (
        "['allocation', 'function_host.py', 'in', 'job', 'lib', 'runner', 'socket']\n"
    )
