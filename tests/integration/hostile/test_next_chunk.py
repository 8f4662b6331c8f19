"""What a chunk leaves for the next one in the same container: nothing, by whatever way."""

import json
from typing import Any

import pytest

from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import order_of, task
from tests.integration.hostile.lair import CALL, RUN_IT, Lair, run, said
from worker.container import WarmContainer

LOOK = """
import json, os, resource
def listed(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        return str(error)
def lines(path):
    return len(open(path).read().splitlines())
def processes():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(open(f"/proc/{pid}/comm").read().strip())
        except OSError:
            pass
    return sorted(found)
print(json.dumps({
    **{place: listed(place) for place in ("/tmp", "/dev/shm", "/dev/mqueue", "/var/tmp", "/dc/in", "/run", ".")},
    "terminals": listed("/dev/pts"), "adjusted": open("/proc/self/oom_score_adj").read(),
    **{kind: lines(f"/proc/sysvipc/{kind}") for kind in ("shm", "msg", "sem")},
    "unix": lines("/proc/net/unix"), "tcp": lines("/proc/net/tcp"), "udp": lines("/proc/net/udp"),
    "processes": processes(), "environment": dict(os.environ),
    "limits": [resource.getrlimit(n) for n in range(16)], "cpus": sorted(os.sched_getaffinity(0)), "nice": os.nice(0),
    "files": sorted(os.listdir("/proc/self/fd")), "where": os.getcwd(),
    "free": os.statvfs("/tmp").f_bfree, "inodes": os.statvfs("/tmp").f_ffree, "shm": os.statvfs("/dev/shm").f_bfree,
}, sort_keys=True))
"""

LEAVES = {
    "files": """
import os
for place in ("/tmp", "/dev/shm", "/tmp/work", "/var/tmp", "/dev/mqueue", "/run"):
    try:
        os.makedirs(f"{place}/a/b")
        open(f"{place}/a/b/c", "w").write("secret")
        os.symlink("/etc", f"{place}/link"), os.link(f"{place}/a/b/c", f"{place}/hard"), os.mkfifo(f"{place}/pipe")
        os.chmod(f"{place}/a", 0)
    except OSError:
        pass
""",
    "names that clearing up would use": """
import os
for place in ("/tmp", "/dev/shm"):
    for n in range(300):
        os.makedirs(f"{place}/.dc-{n}/.dc-{n + 1}/.dc-{n}")
        os.chmod(f"{place}/.dc-{n}/.dc-{n + 1}", 0), os.chmod(f"{place}/.dc-{n}", 0o500)
""",
    "System V objects": CALL
    + """
for mode in (0o1666, 0o1000):
    for key in range(1, 40):
        call(29, key + mode, 65536, mode), call(68, key + mode, mode), call(64, key + mode, 3, mode)
""",
    "a queue": CALL + "call(240, b'/q', 0o102, 0o666, 0)",
    "a queue, as a file": "open('/dev/mqueue/q', 'w')",
    "sockets": """
import os, socket
if not os.fork():
    os.setsid()
    a = socket.socket(socket.AF_UNIX); a.bind("\\0left"); a.listen()
    b = socket.create_server(("127.0.0.1", 4000)); c = socket.socket(socket.AF_UNIX); c.bind("/tmp/left"); c.listen()
    open("/tmp/ready", "w")
    import time; time.sleep(1000)
while not os.path.exists("/tmp/ready"): pass
""",
    "a process of its own session": """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        os.close(0), os.close(1), os.close(2), time.sleep(1000)
    os._exit(0)
""",
    "processes that ignore everything": """
import os, signal, time
for _ in range(20):
    if not os.fork():
        for n in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(n, signal.SIG_IGN)
        while True: time.sleep(1)
""",
    "a stopped process": "import os, signal\nif not os.fork(): os.kill(os.getpid(), signal.SIGSTOP)",
    "a process that multiplies": """
import os
if not os.fork():
    os.setsid()
    while True:
        if os.fork(): os._exit(0)
""",
    "one that writes when all is emptied": """
import os
for _ in range(8):
    if not os.fork():
        n = 0
        while True:
            n += 1
            open(f"/tmp/late-{os.getpid()}-{n}", "w"), open(f"/dev/shm/late-{os.getpid()}-{n}", "w")
""",
    "a locked file": """
import fcntl, os, signal
held = open("/dc/runner", "rb")
fcntl.flock(held, fcntl.LOCK_EX)
if not os.fork(): signal.pause()
""",
    "timers and a terminal": "import os, pty, signal\npty.openpty(), signal.setitimer(signal.ITIMER_REAL, 1000)",
    "names and words of its own": """
import ctypes, os
ctypes.CDLL(None).prctl(15, b"other"), os.putenv("LD_PRELOAD", "/tmp/x"), os.chdir("/"), os.umask(0o777)
""",
    "a full scratch": "open('/tmp/full', 'wb').write(bytes(40 << 20))",
    "no inodes": "n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close(); n += 1",
    "open files of deleted names": """
import os, signal
if not os.fork():
    held = [open(f"/tmp/{n}", "w+") for n in range(100)]
    [(f.write("x" * 9999), f.flush(), os.unlink(f.name)) for f in held]
    os.setsid(), signal.pause()
""",
}


def looked(container: WarmContainer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(container, LOOK))
    return found


@pytest.mark.parametrize("what", LEAVES)
def test_the_next_chunk_finds_all_as_it_was(warm: WarmContainer, what: str) -> None:
    before = looked(warm)
    assert before["processes"] == ["python3", "runner"] and before["/tmp"] == ["work"]
    run(warm, LEAVES[what])
    assert looked(warm) == before


def test_the_next_chunk_does_not_find_the_input_of_the_one_before(lair: Lair) -> None:
    """Large inputs are files; they go with their chunk."""
    container = lair.container(order_of(ProgramSpec(command=["python3", "-c", RUN_IT])))
    container.run(task(b"x = 1\n#" + b"secret" * 50_000))
    script = "import os; print([os.path.join(f, n) for f, _, names in os.walk('/dc/in') for n in names])"
    assert said(container, script) == "[]\n"


def test_a_command_beside_a_warm_function_is_as_clean(lair: Lair) -> None:
    """The function's process lives on between chunks, and may not reach what runs beside it."""
    (lair.folder / "stays.py").write_text("def go(data):\n    return b'warm'\n")
    order = order_of(ProgramSpec(function="stays:go"), ProgramSpec(command=["python3", "-c", RUN_IT]))
    container = lair.container(order)
    assert container.run(task()).payload == b"warm"
    found = container.run(task(LOOK.encode(), stage=1)).payload
    assert isinstance(found, bytes) and json.loads(found)["processes"] == ["python3", "python3", "runner"]
    container.run(task(LEAVES["a process that multiplies"].encode(), stage=1))
    assert container.run(task()).payload == b"warm"
