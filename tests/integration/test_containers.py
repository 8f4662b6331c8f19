"""Warm containers on a real engine: what a chunk gives, how it fails, and that nothing of it stays."""

import threading
from pathlib import Path

import pytest

from dockercomp.protocol.messages import Piece
from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import MIB, Hearing, Start, failure, order_of, payload, sh, task
from worker.engine import Engine
from worker.tasks import Size, Task


def test_stdin_to_stdout_chunk_after_chunk_in_one_container(start: Start) -> None:
    container = start(sh("tr a-z A-Z"))
    first = container.id
    for word in (b"one\n", b"two\n", b""):
        assert payload(container.run(task(word))) == word.upper()
    assert container.id == first and container.state == "idle"


def test_a_program_that_does_not_read_and_one_that_writes_much(start: Start) -> None:
    assert payload(start(sh("echo done")).run(task(b"x" * 60_000))) == b"done\n"
    big = start(sh("head -c 3000000 /dev/zero; cat >/dev/null")).run(task(b"y" * 60_000))
    assert big.size == 3_000_000 and payload(big) == bytes(3_000_000)
    assert isinstance(big.payload, Path)
    big.payload.unlink()


def test_a_large_input_is_read_from_a_file(start: Start, tmp_path: Path) -> None:
    data = b"0123456789" * 500_000
    source = tmp_path / "input"
    source.write_bytes(data)
    outcome = start(sh("wc -c")).run(task(source))
    assert payload(outcome).strip() == b"5000000"
    assert source.read_bytes() == data


def test_placeholders_are_filled_in_and_other_braces_stay(start: Start) -> None:
    command = ["sh", "-c", 'cat "$1"; echo "{index} $2" > {output}; cat "$1" >> {output}', "x", "{input}", "{print $1}"]
    assert payload(start(order_of(ProgramSpec(command=command))).run(task(b"in\n"))) == b"3 {print $1}\nin\n"


def test_a_range_gives_its_numbers(start: Start) -> None:
    container = start(order_of(ProgramSpec(command=["echo", "{start}-{stop}", "{index}"]), split="range"))
    assert payload(container.run(task(start=10, stop=20))) == b"10-20 3\n"


def test_files_keep_their_names(start: Start) -> None:
    names = ["a b.txt", "x/ü#.txt"]
    pieces = tuple(Piece(name=name, size=3) for name in names)
    container = start(order_of(ProgramSpec(command=["cat", "{inputs}"]), split="files"))
    assert payload(container.run(task(b"onetwo", pieces=pieces))) == b"onetwo"
    listing = start(order_of(ProgramSpec(command=["ls", "{inputs}"]), split="files"))
    assert payload(listing.run(task(b"onetwo", pieces=pieces))).decode().splitlines() == [
        "/dc/in/a b.txt",
        "/dc/in/x/ü#.txt",
    ]


def test_an_input_piece_never_leaves_its_folder(start: Start) -> None:
    container = start(order_of(ProgramSpec(command=["cat", "{inputs}"]), split="files"))
    outcome = container.run(task(b"one", pieces=(Piece(name="../../out", size=3),)))
    assert failure(outcome)[0] == "input"


def test_functions_stay_warm_and_get_what_their_split_gives(start: Start, program: Path) -> None:
    (program / "work.py").write_text(
        "import os\n"
        "calls = []\n"
        "def count(data):\n"
        "    calls.append(1)\n"
        "    print('said')\n"
        "    return f'{len(data)} {len(calls)} {os.getpid()}'\n"
        "def total(parts):\n"
        "    return str(sum(int(part.split()[0]) for part in parts))\n"
        "def numbers(r):\n"
        "    return str(sum(r))\n"
    )
    order = order_of(ProgramSpec(function="work:count"), ProgramSpec(function="work:total"))
    container = start(order, program)
    first, second = (payload(container.run(task(data))).split() for data in (b"abc", b"z" * 100_000))
    assert (first[:2], second[:2]) == ([b"3", b"1"], [b"100000", b"2"]) and first[2] == second[2]
    pieces = tuple(Piece(name=str(n), size=3) for n in range(2))
    reduced = container.run(Task(lease="l", stage=1, index=0, input=b"3 x4 y", pieces=pieces))
    assert payload(reduced) == b"7"
    ranged = start(order_of(ProgramSpec(function="work:numbers"), split="range"), program)
    assert payload(ranged.run(task(start=1, stop=11))) == b"55"


def test_a_function_that_fails_says_why_and_the_next_chunk_runs(start: Start, program: Path) -> None:
    (program / "work.py").write_text(
        "import os, sys\n"
        "def go(data):\n"
        "    if data == b'raise': raise ValueError('bad data')\n"
        "    if data == b'exit': sys.exit(4)\n"
        "    if data == b'die': os.kill(os.getpid(), 9)\n"
        "    if data == b'type': return 5\n"
        "    return data\n"
    )
    container = start(order_of(ProgramSpec(function="work:go")), program)
    raised = container.run(task(b"raise"))
    assert raised.failure is not None and "ValueError: bad data" in raised.failure.log_head
    assert failure(raised) == ("exit", 1)
    assert failure(container.run(task(b"exit")))[0] == "exit"
    assert failure(container.run(task(b"die")))[0] == "signal"
    assert failure(container.run(task(b"type")))[0] == "exit"
    assert payload(container.run(task(b"fine"))) == b"fine"


def test_a_failure_has_exit_code_and_head_and_tail_of_the_log(start: Start) -> None:
    outcome = start(sh("echo first >&2; seq 1 5000 >&2; echo last >&2; exit 7")).run(task())
    assert failure(outcome) == ("exit", 7)
    assert outcome.failure is not None
    assert outcome.failure.log_head.startswith("first\n") and outcome.failure.log_tail.endswith("last\n")
    assert len(outcome.failure.log_head) == len(outcome.failure.log_tail) == 4096


def test_signals_and_missing_programs_are_told_apart(start: Start) -> None:
    assert failure(start(sh("kill -SEGV $$")).run(task()))[0] == "signal"
    missing = start(order_of(ProgramSpec(command=["no-such-program"]))).run(task())
    assert failure(missing) == ("exit", 127)
    assert missing.failure is not None and "no-such-program" in missing.failure.log_head


def test_a_program_without_its_output_file_has_failed(start: Start) -> None:
    outcome = start(order_of(ProgramSpec(command=["true", "{output}"]))).run(task())
    assert failure(outcome)[0] == "exit" and outcome.failure is not None and "{output}" in outcome.failure.log_head


@pytest.mark.parametrize("form", ["command", "function"])
def test_over_its_time_limit_it_is_killed_and_the_container_goes_on(start: Start, program: Path, form: str) -> None:
    (program / "work.py").write_text(
        "import time\ndef go(data):\n    time.sleep(100 if data else 0)\n    return 'ok'\n"
    )
    spec = {
        "command": ProgramSpec(command=["sh", "-c", "read x && sleep 100; echo -n ok"]),
        "function": ProgramSpec(function="work:go"),
    }[form]
    container = start(order_of(spec, time_limit=1.0), program)
    assert failure(container.run(task(b"slow\n")))[0] == "time"
    assert payload(container.run(task())) == b"ok"


@pytest.mark.parametrize("form", ["command", "function"])
def test_over_its_memory_it_is_killed_and_reported_as_such(start: Start, program: Path, form: str) -> None:
    (program / "work.py").write_text("def go(data):\n    return str(len(bytearray(400_000_000 if data else 1)))\n")
    spec = {
        "command": ProgramSpec(command=["python3", "-c", "import sys, work; print(work.go(sys.stdin.read()))"]),
        "function": ProgramSpec(function="work:go"),
    }[form]
    container = start(order_of(spec, environment={"PYTHONPATH": "/dc/job"}), program)
    outcome = container.run(task(b"much"))
    assert failure(outcome)[0] == "memory", outcome.failure
    assert payload(container.run(task())).strip() == b"1"


def test_nothing_of_a_chunk_stays_for_the_next(start: Start) -> None:
    script = (
        "ls -A /tmp /dev/shm | grep -v : ; ls /proc | grep -c '^[0-9]';"
        "mkdir -p /tmp/a/b; echo secret > /tmp/a/b/c; chmod 0 /tmp/a; echo x > /dev/shm/y;"
        "(setsid sleep 1000 >/dev/null 2>&1 </dev/null &)"
    )
    container = start(sh(script))
    first, second = (payload(container.run(task())) for _ in range(2))
    assert first == second and first.split() == [b"work", b"4"], first + second


def test_it_is_locked(start: Start) -> None:
    script = (
        "id -u; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'; ls /sys/class/net;"
        "touch /x 2>/dev/null || echo read-only; touch /dc/job/x 2>/dev/null || echo read-only;"
        "cat /proc/1/comm; df -k /tmp | tail -1 | tr -s ' ' | cut -d' ' -f2"
    )
    words = payload(start(sh(script)).run(task())).decode().split()
    assert words[0] == "65534"
    assert words[1:4] == ["CapEff:0000000000000000", "NoNewPrivs:1", "Seccomp:2"]
    assert words[4:] == ["lo", "read-only", "read-only", "runner", str(16 * 1024)]


def test_a_fork_bomb_hits_the_limit_and_the_container_goes_on(start: Start) -> None:
    script = "read x && { i=0; while [ $i -lt 400 ]; do sleep 100 & i=$((i+1)); done; exit 5; }; echo ok"
    container = start(sh(script))
    assert failure(container.run(task(b"bomb\n")))[0] == "exit"
    assert payload(container.run(task())) == b"ok\n"


def test_its_limits_are_read_back_and_follow_while_it_runs(start: Start) -> None:
    container = start(sh("read x; echo $x"))
    reading = container.reading()
    assert (reading.cpus_limit, reading.memory_limit) == (1.0, 144 * MIB)
    container.resize(Size(cpus=0.5, memory=256 * MIB, scratch=16 * MIB))
    reading = container.reading()
    assert (reading.cpus_limit, reading.memory_limit) == (0.5, 272 * MIB)
    container.resize(Size(cpus=1.5, memory=64 * MIB, scratch=16 * MIB))
    reading = container.reading()
    assert (reading.cpus_limit, reading.memory_limit) == (1.5, 80 * MIB)
    assert payload(container.run(task(b"still here\n"))) == b"still here\n"


def test_a_container_killed_from_outside_is_noticed(start: Start, engine: Engine) -> None:
    container = start(sh("echo started >&2; sleep 100"))
    started = threading.Event()
    killer = threading.Thread(target=lambda: started.wait(30) and engine.kill(container.id))
    killer.start()
    outcome = container.run(task(), Hearing(started.set))
    killer.join()
    assert outcome.container_dead and failure(outcome)[0] == "engine"


@pytest.mark.parametrize("form", ["command", "function"])
def test_a_cancelled_chunk_ends_and_the_container_goes_on(start: Start, program: Path, form: str) -> None:
    (program / "work.py").write_text(
        "import time, sys\ndef go(data):\n    if data:\n        print('started', flush=True)\n        time.sleep(100)\n"
        "    return 'ok'\n"
    )
    spec = {
        "command": ProgramSpec(command=["sh", "-c", "read x && { echo started >&2; sleep 100; }; echo -n ok"]),
        "function": ProgramSpec(function="work:go"),
    }[form]
    container = start(order_of(spec), program)
    outcome = container.run(task(b"go\n"), Hearing(container.cancel))
    assert failure(outcome)[0] == "refused"
    assert payload(container.run(task())) == b"ok"


def test_paused_time_does_not_count(start: Start) -> None:
    container = start(sh("echo started >&2; sleep 1.5; echo done", time_limit=2.5))
    paused = threading.Event()

    def freeze() -> None:
        paused.wait(30)
        container.pause()
        threading.Event().wait(3)
        container.unpause()

    freezer = threading.Thread(target=freeze)
    freezer.start()
    outcome = container.run(task(), Hearing(paused.set))
    freezer.join()
    assert payload(outcome) == b"done\n"
