"""Jobs one after the other through the Python API: the result of one is the input of the next."""

from pathlib import Path

import pytest

from dockercomp import Client, DockercompError, JobFailed
from tests.integration.shelf_parts import Shelf

COUNT = """
name = "count"
image = "dockercomp/python"
[input]
split = "range"
stop = 30
per_chunk = 10
[map]
command = ["sh", "-c", "seq {start} $(({stop} - 1))"]
[verify]
quorum = 2
"""
TOTAL = """
name = "total"
image = "dockercomp/python"
[input]
split = "lines"
chunk_size = "16 B"
[map]
command = ["awk", "{s += $1} END {print s}"]
[reduce]
command = ["awk", "{s += $1} END {print s}"]
"""


@pytest.fixture
def client(shelf: Shelf) -> Client:
    shelf.need("dockercomp/python")
    return shelf.client


def folder(tmp_path: Path, name: str, text: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    (made / "job.toml").write_text(text)
    return made


def test_a_job_may_be_submitted_while_the_one_it_reads_still_runs(client: Client, tmp_path: Path) -> None:
    first = client.submit(folder(tmp_path, "count", COUNT), reuse=False)
    second = client.submit(folder(tmp_path, "total", TOTAL), first, reuse=False)
    assert second.wait(timeout=120).state == "completed"
    assert first.view.state == "completed"
    assert second.result_text() == f"{sum(range(30))}\n"
    assert second.save(tmp_path / "out").read_text() == second.result_text()


def test_the_same_again_is_taken_over_unless_it_shall_not(client: Client, tmp_path: Path) -> None:
    count = folder(tmp_path, "count", COUNT)
    first = client.submit(count, reuse=False)
    first.wait(timeout=120)
    again, anew = client.submit(count), client.submit(count, reuse=False)
    assert again.wait(timeout=120).reused == 3
    assert anew.wait(timeout=120).reused == 0
    assert again.result() == anew.result() == first.result()


def test_a_job_that_reads_one_that_fails_fails_with_it(client: Client, tmp_path: Path) -> None:
    first = client.submit(folder(tmp_path, "count", COUNT.replace("seq {start}", "exit 3; seq {start}")))
    second = client.submit(folder(tmp_path, "total", TOTAL), f"job:{first.id}")
    with pytest.raises(JobFailed, match="exit code 3"):
        first.wait(timeout=120)
    with pytest.raises(JobFailed, match=first.id):
        second.wait(timeout=120)
    with pytest.raises(DockercompError, match=f"job:{first.id} has no result"):
        client.submit(tmp_path / "total", first)
    assert first.explain().sentence
