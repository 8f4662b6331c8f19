"""How jobs end on a whole installation, with real containers: what failed is named, and a hopeless job stops itself."""

from pathlib import Path

from dockercomp.client import Client
from dockercomp.job import Job
from dockercomp.protocol.views import JobView
from tests.chaos.conftest import JOB, Installation


def submit(client: Client, tmp_path: Path, work: str, chunks: int, quorum: int = 2) -> Job:
    folder = tmp_path / "squares"
    folder.mkdir()
    (folder / "job.toml").write_text(JOB.format(chunks=chunks, quorum=quorum))
    (folder / "work.sh").write_text(work)
    return client.submit(folder)


def ended(job: Job) -> JobView:
    *_, view = job.follow()
    return view


def test_what_failed_is_named_and_run_again_alone(installation: Installation, tmp_path: Path) -> None:
    with installation.client() as client:
        job = submit(client, tmp_path, 'test "$1" != 7 || { echo "no $1" >&2; exit 3; }; echo $(($1 * $1))\n', 20)
        view = ended(job)
        assert view.state == "failed" and view.missing == ["number 7"]
        assert view.error.startswith("1 of 20 chunks failed: number 7.") and f"dockercomp retry {job.id}" in view.error
        assert "no 7" in view.error or "exit" in view.error
        returned = view.results_returned
        job.retry()
        again = ended(job)
        assert again.state == "failed" and again.missing == ["number 7"]
        assert again.results_returned == returned, "nothing else was run again"
        assert "failed" in job.explain().sentence


def test_a_hopeless_job_stops_itself_early(installation: Installation, tmp_path: Path) -> None:
    with installation.client() as client:
        view = ended(submit(client, tmp_path, "exec python3 mapp.py\n", 1_000_000, quorum=1))
        assert view.state == "failed" and "the job is to blame" in view.error
        assert view.stages[0].issued < 1000, view.stages
