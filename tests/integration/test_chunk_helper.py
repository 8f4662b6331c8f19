"""Progress, allocation and checkpoints of programs in real containers, by the helper and by plain files."""

import threading

import pytest

from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import MIB, Hearing, Start, order_of, payload, reason, sh, task
from tests.waiting import wait_until
from worker.container import WarmContainer
from worker.engine import Engine
from worker.live import Live
from worker.tasks import Outcome, Size

COUNT = """
import time, dockercomp_chunk as chunk
begun = int(chunk.load_checkpoint() or b"0")
print("from", begun)
for number in range(begun, {count}):
    chunk.progress(number / {count}, "at %d" % number)
    chunk.save_checkpoint(b"%d" % number)
    time.sleep({pause})
"""


def counting(count: int, pause: float) -> ProgramSpec:
    return ProgramSpec(command=["python3", "-c", COUNT.format(count=count, pause=pause)])


class Running:
    """A chunk that runs in a thread of its own."""

    def __init__(self, container: WarmContainer) -> None:
        self.live = Live("l")
        self.outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._run, args=(container,))
        self._thread.start()

    def _run(self, container: WarmContainer) -> None:
        self.outcome = container.run(task(b"in"), self.live)

    def end(self) -> Outcome:
        self._thread.join(60)
        assert self.outcome is not None
        return self.outcome


def test_a_chunk_goes_on_from_its_checkpoint_after_its_container_died(start: Start, engine: Engine) -> None:
    order = order_of(counting(30, 0.1))
    first = start(order)
    running = Running(first)
    wait_until(lambda: running.live.report().checkpoint > 0)
    report = running.live.report()
    assert report.progress is not None and report.message.startswith("at ") and report.seconds > 0
    engine.kill(first.id)
    assert running.end().container_dead
    first.stop()
    second = start(order)
    word, begun = payload(second.run(task(b"in"))).split()
    assert word == b"from" and int(begun) > 0
    assert payload(second.run(task(b"in"))) == b"from 0\n", "a chunk that is done leaves no checkpoint"


def test_a_program_that_failed_begins_anew(start: Start) -> None:
    order = sh("cat $DC_CHECKPOINT; echo x > /tmp/c; mv /tmp/c $DC_CHECKPOINT; sleep 1.3; exit 3")
    container = start(order)
    for _ in range(2):
        live = Live("l")
        outcome = container.run(task(b"in"), live)
        assert live.report().checkpoint == 2
        assert reason(outcome) == "exit" and outcome.failure and "No such file" in outcome.failure.log_head


def test_plain_files_do_the_same_in_any_language(start: Start, engine: Engine) -> None:
    script = (
        "cat $DC_CHECKPOINT 2>/dev/null && exit; echo '0.5 halfway there' > $DC_PROGRESS;"
        "head -c 3000000 /dev/zero | tr '\\0' z > /tmp/new; mv /tmp/new $DC_CHECKPOINT; sleep 60"
    )
    order = sh(script)
    running = Running(first := start(order))
    wait_until(lambda: running.live.report().checkpoint == 3_000_000)
    assert (running.live.report().progress, running.live.report().message) == (0.5, "halfway there")
    engine.kill(first.id)
    running.end()
    first.stop()
    assert payload(start(order).run(task(b"in"))) == b"z" * 3_000_000


@pytest.mark.parametrize("form", ["command", "function"])
def test_the_allocation_is_read_as_it_is_now(start: Start, form: str, program) -> None:  # type: ignore[no-untyped-def]
    source = (
        "import dockercomp_chunk, time\n"
        "def go(data):\n"
        "    first = dockercomp_chunk.allocation()\n"
        "    print(first.cpus, flush=True)\n"
        "    while dockercomp_chunk.allocation().change == first.change: time.sleep(0.01)\n"
        "    return '%g %d' % dockercomp_chunk.allocation()[:2]\n"
    )
    (program / "work.py").write_text(source)
    command = ["python3", "-c", "import sys, work; sys.stdout = sys.stderr; sys.__stdout__.write(work.go(b''))"]
    spec = ProgramSpec(command=command) if form == "command" else ProgramSpec(function="work:go")
    container = start(order_of(spec), program)
    resized = threading.Event()

    def resize() -> None:
        if not resized.is_set():
            resized.set()
            container.resize(Size(cpus=0.5, memory=64 * MIB, scratch=16 * MIB))

    assert payload(container.run(task(b"in"), Hearing(resize))) == b"0.5 %d" % (64 * MIB)


def test_log_and_output_can_be_watched_while_they_grow(start: Start) -> None:
    container = start(sh("echo result; echo said >&2; read -r x < /tmp/never || sleep 60"))
    running = Running(container)
    wait_until(lambda: running.live.report().output == b"result\n" and running.live.report().log.startswith(b"said\n"))
    container.cancel()
    assert reason(running.end()) == "refused"
