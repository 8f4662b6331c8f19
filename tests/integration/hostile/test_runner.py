"""Programs against the runner, which has their user id, and against the worker behind it."""

import contextlib
from pathlib import Path

import pytest

from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import order_of, reason, task
from tests.integration.hostile.lair import CALL, FINE, Lair, answer, failed, is_well, run, said
from worker.container import WarmContainer


def test_signals_do_not_reach_the_runner(warm: WarmContainer) -> None:
    script = """
import os, signal
for number in range(1, 65):
    os.kill(1, number)
    signal.pidfd_send_signal(os.pidfd_open(1), number)
print("sent")
"""
    assert said(warm, script) == "sent\n"
    assert (
        failed(warm, "import os; os.fork(); os.kill(os.getppid(), 9); os.kill(-1, 9); os.kill(os.getpid(), 9)")
        == "signal"
    )
    is_well(warm)


def test_the_runner_cannot_be_looked_into(warm: WarmContainer) -> None:
    """It would hold the socket to the worker, by which a result could be made up."""
    script = """
import os
seen = []
for name in ("mem", "fd", "fd/3", "environ", "maps", "auxv", "root", "ns/net", "map_files", "io"):
    try:
        place = f"/proc/1/{name}"
        seen.append(os.listdir(place) if name in ("fd", "map_files") else open(place, "rb").read(1))
    except OSError:
        pass
print(seen, sorted(os.listdir("/proc/self/fd")))
"""
    assert said(warm, script) == "[] ['0', '1', '2', '3']\n", "3 is the listing's own"


def test_the_workers_socket_hears_nobody_else(warm: WarmContainer) -> None:
    script = """
import os, socket
with socket.socket(socket.AF_UNIX) as s:
    try:
        s.connect("/dc/socket/s")
        print("heard")
    except OSError:
        print("deaf", os.listdir("/dc/socket"))
"""
    assert said(warm, script) == "deaf []\n"


def test_what_looks_like_frames_is_only_output(warm: WarmContainer) -> None:
    frames = b"O\x05\0\0\0wrong" + b"X\x0d\0\0\x000 0 0 0 0 0 0"
    script = f"import os, sys; os.write(1, {frames!r}); os.write(2, {frames!r}); sys.exit(3)"
    outcome = run(warm, script)
    assert outcome.failure is not None and outcome.failure.exit_code == 3
    assert outcome.failure.log_head == frames.decode()
    assert run(warm, f"import os; os.write(1, {frames!r})").payload == frames


@pytest.mark.parametrize("to", [1, 2])
def test_one_who_never_stops_talking_keeps_the_time_limit(brief: WarmContainer, to: int) -> None:
    assert failed(brief, f"import os\nwhile True: os.write({to}, b'x')") == "time"
    if to == 2:
        assert failed(brief, "import os\nblock = b'x' * 65536\nwhile True: os.write(2, block)") == "time"


STUBBORN = {
    "stopped": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "deaf": "import signal as s\nfor n in {*range(1, 65)} - {9, 19, 32, 33}: s.signal(n, s.SIG_IGN)\nwhile True: pass",
    "many": "import os\nfor _ in range(7): os.fork()\nwhile True: pass",
    "dying orphans": """
import os
while True:
    child = os.fork()
    if not child: os.fork(), os._exit(0)
    os.waitpid(child, 0)
""",
    "slow clock": "import os, time\nos.environ['FAKETIME'] = '-1y'\ntime.sleep(1000)",
}


@pytest.mark.parametrize("way", STUBBORN)
def test_nothing_outlasts_the_time_limit(brief: WarmContainer, neighbour: WarmContainer, way: str) -> None:
    assert failed(brief, STUBBORN[way]) == "time"
    is_well(neighbour)


def test_limits_and_priorities_are_a_programs_own(warm: WarmContainer) -> None:
    """The runner's would be inherited by the next chunk's program."""
    look = """
import os, resource
print(sorted(os.sched_getaffinity(0)), os.nice(0), os.sched_getscheduler(0),
      [resource.getrlimit(n) for n in range(16)], open("/proc/self/oom_score_adj").read().strip(), os.umask(0o22))
"""
    before = said(warm, look)
    worse = (
        CALL
        + """
import resource
for n in range(16):
    call(302, 1, n, ctypes.byref((ctypes.c_ulong * 2)(1, 1)), 0)
call(203, 1, 8, ctypes.byref(ctypes.c_ulong(1)))
call(141, 0, 1, 19), call(141, 2, 0, 19), call(144, 1, 5, ctypes.byref(ctypes.c_int(0)))
for n in (0, 1, 2, 3, 6, 7, 8, 10, 11, 12):
    resource.setrlimit(n, (1, 1)) if n not in (0, 2, 3) else None
os.umask(0o777)
"""
    )
    run(warm, worse)
    assert said(warm, look) == before
    is_well(warm)


# --- the warm process of functions, which a function may take over ---------------------------------------------------

FUNCTIONS = """
import os, socket, struct, threading, time
def frame(kind, data): return kind + struct.pack("<I", len(data)) + data
END = frame(b"X", b"0 0 0")
def go(data):
    say = lambda raw: os.write(3, raw)
    if data == b"half a head":
        say(b"O\\x05"), time.sleep(1000)
    if data == b"half a frame":
        say(b"O\\xff\\xff\\xff\\xffxx"), time.sleep(1000)
    if data == b"nonsense":
        say(b"X\\xff\\xff\\xff\\xff" + b"9" * 500), time.sleep(1000)
    if data == b"bad end":
        say(frame(b"X", b"one two")), time.sleep(1000)
    if data == b"two answers":
        say(frame(b"O", b"first") + END + frame(b"O", b"wrong") + END), time.sleep(1000)
    if data == b"closes":
        os.close(3), time.sleep(1000)
    if data == b"floods":
        while True: say(frame(b"O", b"x"))
    if data == b"floods with nothing":
        while True: say(frame(b"O", b"") * 100)
    if data == b"talks":
        while True: os.write(2, b"x")
    if data == b"threads that talk":
        def talk():
            while True: os.write(2, b"x" * 65536)
        threading.Thread(target=talk, daemon=True).start()
    if data == b"threads that write":
        def write():
            n = 0
            while True:
                n += 1
                open(f"/tmp/{n}", "w").close()
        threading.Thread(target=write, daemon=True).start()
    if data == b"children that talk":
        if not os.fork():
            while True: os.write(2, b"x" * 65536)
        os._exit(3)
    if data == b"children that wake it":
        if not os.fork():
            os.setsid()
            while True: os.kill(os.getppid(), 18)
    if data == b"forks for ever":
        if not os.fork():
            os.setsid()
            while True:
                if os.fork(): os._exit(0)
    return data
"""


@pytest.fixture(scope="module")
def functions(lair: Lair) -> WarmContainer:
    (lair.folder / "work.py").write_text(FUNCTIONS)
    return lair.container(order_of(ProgramSpec(function="work:go"), time_limit=1.0))


@pytest.mark.parametrize(
    ("what", "reasons"),
    [
        ("half a head", {"time"}),
        ("half a frame", {"time"}),
        ("floods", {"time", "output"}),
        ("floods with nothing", {"time"}),
        ("talks", {"time"}),
        ("nonsense", {"signal"}),
        ("bad end", {"signal"}),
        ("closes", {"signal"}),
    ],
)
def test_a_function_that_speaks_to_the_runner_itself_fails_alone(
    functions: WarmContainer, what: str, reasons: set[str]
) -> None:
    assert reason(functions.run(task(what.encode()))) in reasons
    assert answer(functions, b"fine") == b"fine"


def states_in(runner: int) -> list[str]:
    """The states of the runner's children, as the machine sees them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            found += [state] if int(parent) == runner else []
    return found


@pytest.mark.parametrize("what", ["threads that talk", "threads that write", "children that wake it"])
def test_what_a_function_leaves_running_stands_still(lair: Lair, functions: WarmContainer, what: str) -> None:
    """Its process lives on, with its threads: only while it is called."""
    for data in (what.encode(), b"1", b"2"):
        assert answer(functions, data) == data
        assert states_in(lair.engine.pid(functions.id)) == ["T"]
    functions.run(task(b"closes"))


def test_children_of_a_host_that_died_do_not_hold_its_log_open(functions: WarmContainer) -> None:
    assert reason(functions.run(task(b"children that talk"))) == "exit"
    assert answer(functions, b"fine") == b"fine"


def test_an_answer_too_many_is_not_the_next_chunks(functions: WarmContainer) -> None:
    assert answer(functions, b"two answers") == b"first"
    for data in (b"1", b"2"):
        assert answer(functions, data) == data


def test_a_function_whose_children_multiply_is_ended_with_them(functions: WarmContainer) -> None:
    for data in (b"forks for ever", b"1", b"forks for ever", b"2"):
        assert answer(functions, data) == data


def test_a_call_that_is_not_read_keeps_the_time_limit(lair: Lair) -> None:
    """A host that was taken over need not read: what it is given may be more than a socket holds."""
    (lair.folder / "deaf.py").write_text(
        "import threading, time, os, socket\n"
        "def go(data):\n"
        "    if data == b'first':\n"
        "        os.write(3, b'X' + (5).to_bytes(4, 'little') + b'0 0 0'), time.sleep(1000)\n"
        "    return data\n"
    )
    container = lair.container(order_of(ProgramSpec(function="deaf:go"), time_limit=1.0))
    assert answer(container, b"first") == b""
    assert reason(container.run(task(b"x" * 60_000))) == "time"
    assert answer(container, b"fine") == b"fine"


def test_a_container_whose_runner_is_killed_from_outside_is_told_apart(lair: Lair, tmp_path: Path) -> None:
    """What kills process 1 is the machine: nobody inside can."""
    container = lair.container()
    is_well(container)
    lair.engine.kill(container.id)
    outcome = run(container, FINE)
    assert outcome.container_dead and reason(outcome) == "engine"
