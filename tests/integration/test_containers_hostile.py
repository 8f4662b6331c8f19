"""Warm containers when something goes wrong around them, or the program is not a nice one."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from dockercomp.machine import manifest
from dockercomp.protocol.messages import Piece
from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import Start, container_of, engine_for, order_of, reason, sh, task
from worker import capture
from worker.engine import Engine
from worker.tasks import Task


def test_a_spool_that_cannot_be_written_ends_the_container_and_mixes_nothing(start: Start, home: Path) -> None:
    """Frames of a chunk given up half-way must never be taken for the next chunk's."""
    container = start(sh("head -c 3000000 /dev/zero"))
    shutil.rmtree(home / "worker" / "spool")
    outcome = container.run(task())
    assert reason(outcome) == "engine" and outcome.container_dead


def test_a_result_over_the_cap_fails_and_the_container_goes_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "OUTPUT_LIMIT", 1 << 20)
    container = start(sh('read x; if [ "$x" = endless ]; then cat /dev/zero; fi; echo $x'))
    assert reason(container.run(task(b"endless\n"))) == "output"
    assert container.run(task(b"short\n")).payload == b"short\n"


def test_a_container_killed_while_idle_is_noticed_at_the_next_chunk(start: Start, engine: Engine) -> None:
    container = start(sh("cat"))
    os.kill(engine.pid(container.id), signal.SIGKILL)
    outcome = container.run(task(b"x"))
    assert outcome.container_dead and reason(outcome) == "engine"


def test_processes_and_pools_that_a_function_leaves_are_gone_at_the_next_chunk(start: Start, program: Path) -> None:
    (program / "work.py").write_text(
        "import os, subprocess, multiprocessing\n"
        "kept = []\n"
        "def count():\n"
        "    return sum(open(f'/proc/{p}/stat').read().split()[2] != 'Z' for p in os.listdir('/proc') if p.isdigit())\n"
        "def go(data):\n"
        "    found = count()\n"
        "    kept.append(subprocess.Popen(['sleep', '1000']))\n"
        "    subprocess.Popen('setsid sleep 1000 & sleep 1000', shell=True)\n"
        "    if not os.fork():\n"
        "        import time; time.sleep(1000)\n"
        "    open('/tmp/left', 'w').write('x')\n"
        "    return f'{found} {os.path.exists(\"/tmp/left\")}'\n"
        "def squares(data):\n"
        "    with multiprocessing.Pool(2) as pool:\n"
        "        return repr(pool.map(abs, [-1, -2]))\n"
    )
    container = start(order_of(ProgramSpec(function="work:go")), program)
    answers = {container.run(task()).payload for _ in range(5)}
    assert answers == {b"2 True"}, "the runner and the host process"
    pool = start(order_of(ProgramSpec(function="work:squares")), program)
    assert [pool.run(task()).payload for _ in range(2)] == [b"[1, 2]"] * 2


def test_scratch_is_emptied_whatever_its_depth_and_its_modes(start: Start) -> None:
    script = (
        "import os, sys\n"
        "found = os.listdir('/tmp') + os.listdir('/dev/shm') + os.listdir()\n"
        "os.chdir('/dev/shm' if sys.stdin.read() else '/tmp')\n"
        "os.symlink('/dc/job', 'link'); os.mkfifo('fifo')\n"
        "for depth in range(3000):\n"
        "    os.mkdir('d'); os.chdir('d'); open('f', 'w').close()\n"
        "    if depth % 7 == 0: os.chmod('.', 0)\n"
        "    if depth % 7 == 0: os.chmod('/proc/self/cwd', 0o700)\n"
        "os.mkdir('locked'); open('locked/x', 'w').close(); os.chmod('locked', 0); os.chmod('.', 0o500)\n"
        "print(found)\n"
    )
    container = start(order_of(ProgramSpec(command=["python3", "-c", script])))
    for data in (b"", b"x", b"", b"x", b""):
        assert container.run(task(data)).payload == b"['work']\n"


def test_a_child_that_a_function_forked_never_answers_for_the_next_chunk(start: Start, program: Path) -> None:
    (program / "work.py").write_text(
        "import os\n"
        "def go(data):\n"
        "    child = os.fork()\n"
        "    if child: os.waitpid(child, 0)\n"
        "    return data if child else b'wrong'\n"
    )
    container = start(order_of(ProgramSpec(function="work:go")), program)
    for data in (b"1", b"2", b"3"):
        assert container.run(task(data)).payload == data


def test_many_input_files(start: Start) -> None:
    container = start(order_of(ProgramSpec(command=["sh", "-c", "echo $#", "x", "{inputs}"]), split="files"))

    def files(count: int) -> Task:
        pieces = tuple(Piece(name=f"{n:05}", size=0) for n in range(count))
        return Task(lease="l", stage=0, index=0, input=b"", pieces=pieces)

    assert container.run(files(5_000)).payload == b"5000\n"
    assert container.run(files(2)).payload == b"2\n"


def test_a_function_in_which_the_host_was_replaced_answers_again(start: Start, program: Path) -> None:
    (program / "work.py").write_text("import os\ndef go(data):\n    os.execvp('sleep', ['sleep', '0'])\n")
    container = start(order_of(ProgramSpec(function="work:go")), program)
    for _ in range(2):
        assert reason(container.run(task())) in ("exit", "signal")
    assert container.state == "idle"


def test_time_and_memory_used_are_told_for_both_forms(start: Start, program: Path) -> None:
    (program / "work.py").write_text(
        "import time\n"
        "def go(data):\n"
        "    held = bytearray(30_000_000)\n"
        "    end = time.process_time() + 0.3\n"
        "    while time.process_time() < end: pass\n"
        "    return 'ok'\n"
    )
    for spec in (
        ProgramSpec(function="work:go"),
        ProgramSpec(command=["python3", "-c", "import work; print(work.go(b''))"]),
    ):
        container = start(order_of(spec, environment={"PYTHONPATH": "/dc/job"}), program)
        for _ in range(2):
            outcome = container.run(task())
            assert outcome.cpu_s >= 0.29 and outcome.wall_s >= 0.29, outcome
            assert outcome.memory_peak >= 30_000_000


def test_a_chunk_knows_its_numbers_by_its_environment_too(start: Start) -> None:
    container = start(sh("echo $DC_INDEX $DC_START $DC_STOP", split="range"))
    numbered = Task(lease="l", stage=0, index=7, input=b"", start=10, stop=20)
    assert container.run(numbered).payload == b"7 10 20\n"


def test_a_program_in_the_job_folder_runs_by_its_bare_name(start: Start, program: Path) -> None:
    script = program / "mapper.sh"
    script.write_text("#!/bin/sh\ntr a-z A-Z\n")
    script.chmod(0o755)
    for command in (["mapper.sh"], ["./mapper.sh"]):
        assert start(order_of(ProgramSpec(command=command)), program).run(task(b"abc")).payload == b"ABC"


def test_a_long_dc_home_still_gets_a_socket(tmp_path: Path) -> None:
    home = tmp_path.joinpath(*["a-rather-long-folder-name"] * 5)
    engine = engine_for(home)
    container = container_of(engine, home, sh("cat"))
    container.start()
    try:
        assert container.run(task(b"x")).payload == b"x"
    finally:
        container.stop()
        engine.close()
    (elsewhere,) = (Path(entry.name) for entry in manifest.entries(home) if entry.kind == "tree")
    assert elsewhere.name == f"dockercomp-{engine.instance}" and list(elsewhere.iterdir()) == []
    elsewhere.rmdir()


def test_a_cancel_that_comes_before_the_program_runs_is_not_lost(start: Start) -> None:
    """As often as it takes to hit the moments around the start."""
    container = start(sh("sleep 100", time_limit=60.0))

    def cancels() -> None:
        while not container.current_lease:
            pass
        container.cancel()

    for _ in range(20):
        canceller = threading.Thread(target=cancels)
        canceller.start()
        outcome = container.run(task())
        canceller.join()
        assert reason(outcome) == "refused" and outcome.wall_s < 50
