"""Programs that take all they can get: the chunk fails for the right reason, and nobody else notices."""

import threading
from pathlib import Path

import pytest

from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import MIB, Hearing, order_of, reason, task
from tests.integration.hostile.lair import CALL, FINE, Lair, bounded, failed, is_well, program, run, said, working
from worker import capture
from worker.container import WarmContainer
from worker.engine import EngineError
from worker.tasks import Outcome, Size

# --- processes and processors ---------------------------------------------------------------------------------------

FORK_BOMBS = {
    "that never ends": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "of threads": """
import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    except RuntimeError: pass
""",
    "of the shell": "import os; os.execvp('sh', ['sh', '-c', 'f() { f | f & }; f; while true; do f; done'])",
}


@pytest.mark.parametrize("way", FORK_BOMBS)
def test_a_fork_bomb_is_the_containers_alone(brief: WarmContainer, neighbour: WarmContainer, way: str) -> None:
    with working(neighbour):
        assert failed(brief, FORK_BOMBS[way]) in ("time", "exit")


def test_one_that_cannot_be_frozen_is_ended(lair: Lair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork bomb does that to the engine now and then, with cgroup v1; the volunteer's pause holds all the same."""

    def refuses(container: str) -> None:
        raise EngineError("unable to freeze")

    monkeypatch.setattr(lair.engine, "pause", refuses)
    container, outcomes, begun = lair.container(), list[Outcome](), threading.Event()
    script = "import os, time; os.write(2, b'begun'); time.sleep(1000)"
    thread = threading.Thread(target=lambda: outcomes.append(container.run(task(script.encode()), Hearing(begun.set))))
    thread.start()
    begun.wait(30)
    with pytest.raises(EngineError, match="freeze"):
        container.pause()
    thread.join()
    assert outcomes[0].container_dead


def test_one_who_takes_every_processor_leaves_its_neighbour_its_share(lair: Lair, neighbour: WarmContainer) -> None:
    """By the neighbour's own count: CPU that it was given is CPU that it could use."""
    hog = lair.container(program(time_limit=3.0), Size(cpus=0.5, memory=96 * MIB, scratch=8 * MIB))
    before = hog.reading().cpu_seconds or 0.0
    with working(neighbour):
        outcome = run(hog, "import os\nfor _ in range(5): os.fork()\nwhile True: pass")
    assert reason(outcome) == "time"
    spent = (hog.reading().cpu_seconds or 0.0) - before
    assert spent <= 0.5 * outcome.wall_s + 0.5, "its quota, and a little for its end"
    is_well(hog)


# --- memory ---------------------------------------------------------------------------------------------------------

MEMORY = {
    "of its own": "held = []\nwhile True: held.append(bytearray(1 << 20))",
    "in files of memory alone": "import os\nf = os.memfd_create('x')\nwhile True: os.write(f, bytes(1 << 20))",
    "of System V": CALL
    + """
import time
libc.shmat.restype = ctypes.c_void_p
for key in range(1, 400):
    at = libc.shmat(libc.shmget(key, 1 << 20, 0o1666), None, 0)
    ctypes.memset(at, 1, 1 << 20)
    libc.shmdt(ctypes.c_void_p(at))
""",
    "that is locked": CALL + "libc.mlockall(7)\nheld = []\nwhile True: held.append(bytearray(1 << 20))",
    "of pipes": "import os, fcntl\nwhile True:\n    if os.fork() == 0:\n        p = [os.pipe() for _ in range(500)]\n"
    "        for r, w in p: os.set_blocking(w, False), os.write(w, bytes(65536))\n        held = bytes(1 << 20) * 4\n"
    "        import time; time.sleep(1000)",
}


@pytest.mark.parametrize("way", MEMORY)
def test_a_memory_bomb_ends_its_chunk_alone(brief: WarmContainer, neighbour: WarmContainer, way: str) -> None:
    with working(neighbour):
        assert failed(brief, MEMORY[way]) in (("memory", "time", "exit") if way == "of pipes" else ("memory",))


def test_one_who_waits_for_those_that_were_killed_is_told_why(brief: WarmContainer) -> None:
    script = """
import os
held = bytearray(8 << 20)
for _ in range(6): os.fork()
held[:] = os.urandom(8 << 20)
while True: pass
"""
    outcome = run(brief, script)
    assert outcome.failure is not None and outcome.failure.reason in ("time", "memory")
    assert "of memory" in outcome.failure.message
    is_well(brief)


def test_where_the_runner_itself_runs_out_of_memory_the_job_is_told(lair: Lair, neighbour: WarmContainer) -> None:
    """A program may make itself as unlikely a victim as the runner, and smaller than it: here one page of machine code,
    that fills memory which is no process's."""
    container = lair.container(program(time_limit=10.0))
    script = """
import os, struct
code = bytes.fromhex("b83f010000" "488d3df4ffffff" "31f6" "0f05" "89c7"  # rdi = memfd_create(its own first bytes, 0)
                     "b801000000" "488d35e2ffffff" "ba000c0000" "0f05" "ebeb")  # write(it, itself, 3072), for ever
head = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\\x7fELF", 2, 1, 1, 0, 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 120 + len(code), 4096, 4096)
open("/tmp/tiny", "wb").write(head + segment + code)
os.chmod("/tmp/tiny", 0o755)
open("/proc/self/oom_score_adj", "w").write("500")
os.execv("/tmp/tiny", ["tiny"])
"""
    with working(neighbour):
        outcome = run(container, script)
    assert reason(outcome) == "memory" and outcome.container_dead


# --- files ----------------------------------------------------------------------------------------------------------

FILLERS = {
    "scratch": "f = open('/tmp/full', 'wb')\nwhile True: f.write(bytes(1 << 20))",
    "shared memory": "f = open('/dev/shm/full', 'wb')\nwhile True: f.write(bytes(1 << 20))",
    "inodes": "n = 0\nwhile True:\n    n += 1\n    open(f'/tmp/{n}', 'w').close()",
    "folders": "import os\nn = 0\nwhile True:\n    n += 1\n    os.makedirs(f'/tmp/{n}/a')",
    "links": "import os\nn = 0\nwhile True:\n    n += 1\n    os.symlink('x' * 40, f'/tmp/{n}')",
    "the root": "f = open('/var/full', 'wb')",
    "the job's folder": "f = open('/dc/job/full', 'wb')",
}


@pytest.mark.parametrize("what", FILLERS)
def test_what_fills_up_is_the_containers_own(warm: WarmContainer, home: Path, what: str) -> None:
    with bounded(home):
        outcome = run(warm, FILLERS[what])
        assert reason(outcome) == "exit" and outcome.failure is not None
        assert "No space left" in outcome.failure.log_head or "Read-only file system" in outcome.failure.log_head
    is_well(warm)


# --- words ----------------------------------------------------------------------------------------------------------

TALKERS = {
    "a log": "import os\nwhile True: os.write(2, b'x' * 65536)",
    "a log, byte by byte": "import os\nwhile True: os.write(2, b'x')",
    "progress": "n = 0\nwhile True:\n    n += 1\n    open('/tmp/.dc-progress', 'w').write(f'0.5 {n}' + 'x' * 99999)",
    "checkpoints": """
import os
while True:
    with open("/tmp/new", "wb") as file: file.write(bytes(8 << 20))
    os.rename("/tmp/new", "/tmp/.dc-checkpoint")
""",
}


@pytest.mark.parametrize("what", TALKERS)
def test_endless_words_cost_the_worker_nothing(
    lair: Lair, brief: WarmContainer, neighbour: WarmContainer, home: Path, what: str
) -> None:
    frames: list[int] = []
    with bounded(home), working(neighbour):
        outcome = brief.run(task(TALKERS[what].encode()), Hearing(lambda: frames.append(1)))
    assert reason(outcome) == "time"
    assert len(frames) < 3000 * outcome.wall_s + 500, "each costs the worker time that is its other containers'"
    is_well(brief)
    assert list((home / "worker" / "checkpoints").glob("*")) == []


def test_an_endless_output_is_cut_off(
    warm: WarmContainer, neighbour: WarmContainer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "OUTPUT_LIMIT", 32 * MIB)
    with bounded(home), working(neighbour):
        outcome = run(warm, "import os\nwhile True: os.write(1, b'x' * 65536)")
    assert outcome.failure is not None and "the result is larger than" in outcome.failure.message
    is_well(warm)


@pytest.mark.parametrize("size", ["1 << 40", "(1 << 63) - 4096"])
def test_a_file_of_holes_as_output_is_cut_off(
    lair: Lair, home: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    """It takes no room in scratch, and would take for ever to send."""
    monkeypatch.setattr(capture, "OUTPUT_LIMIT", 32 * MIB)
    script = f"import os, sys; where = sys.argv[1]; exec(sys.stdin.read()); os.truncate(open(where, 'a').name, {size})"
    for words, more in ((["{output}"], {}), (["{output_dir}/a"], {"outputs": ["*"]})):
        container = lair.container(order_of(ProgramSpec(command=["python3", "-c", script, *words], **more)))
        with bounded(home):
            outcome = container.run(task(b"pass"))
        assert outcome.failure is not None and "larger than" in outcome.failure.message
        assert container.state == "idle"


def test_a_flood_of_arguments_and_words_is_refused_before_it_runs(lair: Lair) -> None:
    large = lair.container(program(environment={f"V{n}": "x" * 1000 for n in range(5000)}))
    outcome = run(large, FINE)
    assert outcome.failure is not None and outcome.failure.reason == "input" and "more than" in outcome.failure.message
    single = lair.container(program(environment={"V": "x" * 200_000}))
    outcome = run(single, FINE)
    assert outcome.failure is not None and "Argument list too long" in outcome.failure.log_head
    assert single.state == "idle"


def test_a_program_may_not_outgrow_what_its_own_children_are_given(warm: WarmContainer) -> None:
    script = """
import os, subprocess
try:
    subprocess.run(["true", "x" * (1 << 20)])
except OSError as error:
    print(error.strerror)
held = []
try:
    while True: held.append(os.open("/dev/null", 0))
except OSError as error:
    print(error.strerror, len(held) < 1024)
"""
    assert said(warm, script) == "Argument list too long\nToo many open files True\n"
