"""A long chunk on a whole installation: watched while it runs, and resumed, not restarted, after a kill -9."""

from pathlib import Path

import pytest

from dockercomp import jobfolder
from dockercomp.protocol.errors import BadRequest, NotFound
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import ChunkPage, RunningChunk, RunningPage
from tests.chaos.conftest import Installation, kill
from tests.waiting import wait_until

JOB = """
name = "long"
image = "dockercomp/python"
[input]
split = "range"
start = 0
stop = 1
[map]
command = ["python3", "count.py"]
[verify]
policy = "none"
[resources]
memory = "64 MiB"
disk = "16 MiB"
time_limit = "2 min"
"""
COUNT = """
import sys, time
import dockercomp_chunk as chunk
begun = int(chunk.load_checkpoint() or b"0")
print("from", begun, flush=True)
print("begun", file=sys.stderr, flush=True)
for number in range(begun, 100):
    chunk.progress(number / 100, "at %d" % number)
    chunk.save_checkpoint(b"%d" % number)
    time.sleep(0.1)
print("to", 100)
"""


def submit(installation: Installation, folder: Path) -> str:
    folder.mkdir()
    (folder / "job.toml").write_text(JOB)
    (folder / "count.py").write_text(COUNT)
    with installation.client() as client:
        return client.submit(jobfolder.load(folder)).id


def running(master: Connection, job: str) -> list[RunningChunk]:
    return master.call("job_running", RunningPage, job=job).chunks


def test_a_long_chunk_is_watched_and_goes_on_after_its_worker_was_killed(
    installation: Installation, tmp_path: Path
) -> None:
    master, job = installation.master.admin(), submit(installation, tmp_path / "long")
    wait_until(lambda: any(chunk.checkpoint for chunk in running(master, job)), 90)
    (seen,) = running(master, job)
    assert (seen.stage, seen.index) == ("map", 0) and seen.seconds >= 2 and seen.log_tail == "begun\n"
    assert seen.progress is not None and seen.message.startswith("at ")
    answer = master.request("job_stream", job=job, params={"lease": seen.lease, "kind": "output"})
    assert (answer.content, answer.headers["Stream-From"]) == (b"from 0\n", "0")
    answer = master.request("job_stream", job=job, params={"lease": seen.lease, "kind": "output", "from": 5})
    assert (answer.content, answer.headers["Stream-From"]) == (b"0\n", "5")
    with pytest.raises(BadRequest):
        master.request("job_stream", job=job, params={"lease": seen.lease, "kind": "secrets"})
    with pytest.raises(NotFound):
        master.request("job_stream", job=job, params={"lease": "c.other.0.0.x"})

    clients = {home: (home / "worker" / "identity.json").read_text() for home in installation.homes}
    home = next(home for home, identity in clients.items() if seen.client in identity)
    kill(installation.pid(home, "worker", "worker"))
    view = installation.follow(job)
    words = installation.result(job).split()
    assert view.state == "completed" and words[2:] == [b"to", b"100"] and int(words[1]) > 0, words
    (chunk,) = master.call("job_chunks", ChunkPage, job=job).chunks
    assert [replica.client for replica in chunk.replicas] == [seen.client], "the lease was never given to another"
    assert running(master, job) == []
