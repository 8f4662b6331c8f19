"""Word count from submission to the verified result on disk: a real master, two workers of one container each with one
CPU; against other systems with two processes, one after the other in every round.

What counts for us begins with reading and uploading the input; for the others with reading it. Their clusters and
brokers run before the clock starts, as our master and workers do.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import wordcount
from bench.installation import IMAGE, Installation, installed
from bench.peers import PROCESSES
from bench.peers.environment import cache
from bench.peers.process import measured
from bench.rows import Row, row
from bench.text import text

SIZE = 512 * 2**20
CHUNKS = 64
VARIANTS = {"verification off": 'policy = "none"', "quorum 2": "quorum = 2"}
PEERS = "no verification"
"""The variant of the others' rows."""

_JOB = """\
name = "wordcount"
image = "{image}"
[input]
split = "lines"
chunk_size = "{chunk} B"
[map]
function = "wordcount:count"
[reduce]
function = "wordcount:merge"
fan_in = 8
[verify]
{verify}
[resources]
memory = "256 MiB"
"""

_PATIENCE_S = 1800
_BLANKS = 16
"""Bytes at the end of our input, different in each job, that are no words."""

Walls = dict[tuple[str, str], list[float]]


def rows(runs: int, peers: Sequence[str] = (), size: int = SIZE) -> list[Row]:
    """Seconds from nothing to the result on disk, for us and for each of `peers`. Raises RuntimeError where two
    results differ."""
    source, chunk = text(cache() / "bench", size - _BLANKS), -(-size // CHUNKS)
    walls: Walls = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder:
        check = _Check(Path(folder, "result"))
        for number in range(runs):
            with _ours() as installation:
                for variant, verify in VARIANTS.items():
                    wall = _wall(installation, verify, source, chunk, check.output)
                    check(f"dockercomp, {variant}", number, wall)
                    walls["dockercomp", variant].append(wall)
            for peer in peers:
                found = measured(peer, lambda ready: ready.call("job", text=source, chunk=chunk, output=check.output))
                if found is not None:
                    check(peer, number, found)
                    walls[peer, PEERS].append(found)
    measured_rows = [row(system, variant, "wall_s", "s", values) for (system, variant), values in walls.items()]
    print_ratios(measured_rows)
    return measured_rows


class _Check:
    """All results must be the same bytes."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self._digest = ""

    def __call__(self, what: str, number: int, wall: float) -> None:
        digest = hashlib.sha256(self.output.read_bytes()).hexdigest()
        self.output.unlink()
        if digest != (self._digest or digest):
            raise RuntimeError(f"{what}: its result differs from that of the others")
        self._digest = digest
        print(f"round {number + 1}: {what} {wall:.2f} s", file=sys.stderr, flush=True)


@contextmanager
def _ours() -> Iterator[Installation]:
    with installed() as installation:
        installation.push_image()
        for _ in range(PROCESSES):
            installation.add_worker(containers=1, cpus=1, memory_mib=512)
        yield installation


def _wall(installation: Installation, verify: str, source: Path, chunk: int, output: Path) -> float:
    """One job. The master has never seen its input: that is a copy with other blanks at its end than the last one."""
    installation.jobs += 1
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder, installation.client() as client:
        given, program = Path(folder, "text.txt"), Path(folder, "wordcount")
        _copy(source, given, b"\n" * installation.jobs + b" " * (_BLANKS - installation.jobs))
        program.mkdir()
        shutil.copy(wordcount.__file__, program)
        (program / "job.toml").write_text(_JOB.format(image=IMAGE, chunk=chunk, verify=verify))
        begun = time.perf_counter()
        job = client.submit(program, given, reuse=False)
        job.wait(timeout=_PATIENCE_S)
        found = job.save(Path(folder, "out"))
        wall = time.perf_counter() - begun
        shutil.copy(found, output)
    return wall


def _copy(source: Path, target: Path, more: bytes) -> None:
    """On disk, so that nothing is still written back while the clock runs."""
    shutil.copy(source, target)
    with target.open("ab") as file:
        file.write(more)
        file.flush()
        os.fsync(file.fileno())


def print_ratios(found: Sequence[Row]) -> None:
    """How many times as long as each peer we took, without verification as they."""
    ours = next(each.median for each in found if (each.system, each.variant) == ("dockercomp", "verification off"))
    for each in found:
        if each.system != "dockercomp":
            print(f"dockercomp, verification off / {each.system}: {ours / each.median:.2f}")
