"""The job of several benchmarks: chunks that only sleep, so that what is left of a small machine is enough for many
containers."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.installation import IMAGE, Installation
from dockercomp.client import Client
from dockercomp.job import Job

_CHUNKS = 10**6
"""More than any benchmark runs: it ends the job itself."""
_START_S = 300

_JOB = """\
name = "sleep"
image = "{image}"
[input]
split = "range"
start = 0
stop = {chunks}
per_chunk = 1
[map]
command = ["sh", "-c", "sleep {seconds:g}; echo {{index}}"]
[verify]
policy = "none"
[resources]
cpus = 0.25
memory = "32 MiB"
disk = "8 MiB"
"""


def submit(client: Client, seconds: float) -> Job:
    """A job of a million chunks that sleep so many seconds each. Cancel it in the end."""
    with TemporaryDirectory(prefix="dc-bench-") as folder:
        Path(folder, "job.toml").write_text(_JOB.format(image=IMAGE, chunks=_CHUNKS, seconds=seconds))
        return client.submit(folder, reuse=False)


def wait_running(installation: Installation, containers: int) -> float:
    """When so many containers of all clients ran a chunk, on the clock of time.perf_counter."""
    deadline = time.monotonic() + _START_S
    with installation.client() as client:
        while time.monotonic() < deadline:
            states = [container.state for each in client.clients() for container in each.containers]
            if states.count("running") >= containers:
                return time.perf_counter()
            time.sleep(0.1)
    raise RuntimeError(f"{containers} containers did not run within {_START_S} s: {sorted(states)}")
