"""How a small program of the volunteer's fares beside hostile containers: `python -m tests.integration.beside`.

Run by hand, on a machine that does nothing else. A program on the host starts `true`, writes and syncs a page to the
disk, and sleeps for a millisecond, again and again, beside each attack in two containers of half the
machine each. Every other half second the containers are frozen, so that what else goes on is the same in both columns.
The table is for docs/security-containers.md.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.integration.docker_parts import MIB, engine_for
from tests.integration.hostile.lair import Lair, program, run
from tests.integration.hostile.test_next_chunk import LEAVES
from tests.integration.hostile.test_resources import FILLERS, FORK_BOMBS, MEMORY, TALKERS
from worker.container import WarmContainer
from worker.engine import Engine, EngineError
from worker.tasks import Size

_ROUNDS, _SLICE_S = 8, 0.5

HOGS = {
    "one honest program each": "while True: pass",
    "256 processes that compute": "import os\nfor _ in range(7): os.fork()\nwhile True: pass",
    "a fork bomb": FORK_BOMBS["that never ends"],
    "processes that come and go": """
import os
while True:
    child = os.fork()
    if not child: os._exit(0)
    os.waitpid(child, 0)
""",
    "a memory bomb, again and again": "import os\nwhile True:\n    if not os.fork():\n        exec("
    + repr(MEMORY["of its own"])
    + ")\n    os.wait()",
    "filling and emptying scratch": "while True:\n    with open('/tmp/full', 'wb') as f:\n"
    "        for _ in range(60): f.write(bytes(1 << 20))",
    "no inodes": FILLERS["inodes"].replace("while True:", "while n < 16000:") + "\nwhile True: pass",
    "endless log": TALKERS["a log"],
    "endless log, byte by byte": TALKERS["a log, byte by byte"],
    "sync, for ever": "import os\nwhile True: os.sync()",
    "a process that multiplies": LEAVES["a process that multiplies"] + "\nwhile True: pass",
}


Turns = dict[tuple[str, bool], list[float]]
"""Milliseconds that each turn took, by what was done and whether the containers ran."""


def _starting() -> None:
    subprocess.run(["/bin/true"], check=True)


def _sleeping() -> None:
    time.sleep(0.001)


def _writing(file: int) -> None:
    os.pwrite(file, b"x" * 4096, 0)
    os.fsync(file)


def _measure(acts: dict[str, Callable[[], None]], beside: bool, turns: Turns) -> None:
    for name, act in acts.items():
        end = time.perf_counter() + _SLICE_S / len(acts)
        while (now := time.perf_counter()) < end:
            act()
            turns[name, beside].append((time.perf_counter() - now) * 1000)


def _freeze(engine: Engine, container: WarmContainer) -> None:
    """As often as it takes, where processes multiply."""
    for _ in range(50):
        with contextlib.suppress(EngineError):
            return engine.pause(container.id)
    raise EngineError(f"{container.name} cannot be frozen")


def _row(engine: Engine, containers: list[WarmContainer], script: str) -> Turns:
    threads = [threading.Thread(target=run, args=(container, script)) for container in containers]
    for thread in threads:
        thread.start()
    turns: Turns = defaultdict(list)
    with tempfile.NamedTemporaryFile() as file:
        acts = {"start": _starting, "write": lambda: _writing(file.fileno()), "sleep": _sleeping}
        for _ in range(_ROUNDS):
            _measure(acts, True, turns)
            for container in containers:
                _freeze(engine, container)
            _measure(acts, False, turns)
            for container in containers:
                engine.unpause(container.id)
    for container, thread in zip(containers, threads, strict=True):
        container.cancel()
        thread.join()
    return turns


def _cells(turns: Turns) -> str:
    """Median and 99th percentile, alone and beside."""
    found = []
    for name in ("start", "write", "sleep"):
        for beside in (False, True):
            ordered = sorted(turns[name, beside])
            found.append(f"{median(ordered):.2f} ({ordered[int(len(ordered) * 0.99)]:.1f})")
    return " | ".join(found)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dcb-") as folder:
        home, job = Path(folder, "h"), Path(folder, "job")
        job.mkdir(mode=0o755)
        lair = Lair(engine_for(home), home, job)
        size = Size(cpus=(os.cpu_count() or 1) / 2, memory=256 * MIB, scratch=64 * MIB)
        try:
            containers = [lair.container(program(time_limit=600.0), size) for _ in range(2)]
            print("| beside | start, alone | beside | write, alone | beside | sleep, alone | beside |")
            print("|---|---|---|---|---|---|---|")
            for name, script in HOGS.items():
                print(f"| {name} | {_cells(_row(lair.engine, containers, script))} |", flush=True)
        finally:
            lair.remove()


if __name__ == "__main__":
    sys.exit(main())
