"""A chunk's time tells of a width only where it is the time of the whole chunk at this width, in a real container."""

from dataclasses import replace

from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import MIB, Hearing, Start, order_of, payload, sh, task
from tests.integration.test_chunk_helper import Running
from tests.waiting import wait_until
from worker.engine import Engine
from worker.tasks import Size

SIZE = Size(cpus=1.0, memory=128 * MIB, scratch=16 * MIB, timed_as=1.0)
SAID = "echo started >&2; sleep 0.2; echo done"


def test_a_run_that_nothing_disturbed_tells_its_width(start: Start) -> None:
    container = start(sh(SAID), None, SIZE)
    assert container.run(task()).width == 1.0


def test_one_that_was_given_other_cpus_does_not_but_the_next_one_does(start: Start) -> None:
    container = start(sh(SAID), None, SIZE)
    other = replace(SIZE, cpus=0.5, timed_as=0.5)
    assert container.run(task(), Hearing(lambda: container.resize(other))).width == 0
    assert container.run(task()).width == 0.5


def test_one_that_was_frozen_does_not(start: Start) -> None:
    container = start(sh(SAID), None, SIZE)

    def freeze() -> None:
        container.pause()
        container.unpause()

    outcome = container.run(task(), Hearing(freeze))
    assert payload(outcome) == b"done\n" and outcome.width == 0
    assert container.run(task()).width == 1.0


def test_one_that_went_on_from_a_checkpoint_does_not(start: Start, engine: Engine) -> None:
    program = (
        "import time, dockercomp_chunk as chunk\n"
        "begun = chunk.load_checkpoint()\n"
        "while not begun:\n    chunk.save_checkpoint(b'1')\n    time.sleep(0.1)\n"
        "print('went on')"
    )
    order = order_of(ProgramSpec(command=["python3", "-c", program]))
    first = start(order, None, SIZE)
    running = Running(first)
    wait_until(lambda: running.live.report().checkpoint > 0)
    engine.kill(first.id)
    running.end()
    first.stop()
    outcome = start(order, None, SIZE).run(task(b"in"))
    assert payload(outcome) == b"went on\n" and outcome.width == 0
