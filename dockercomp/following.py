"""Following a job to its end on the command line, and saying how it ended."""

import tempfile
from datetime import datetime
from pathlib import Path

from .job import Job, OutputError
from .progress import counts, display, span
from .protocol.stated import how_wrong
from .protocol.views import JobView
from .terminal import FAILED, INTERRUPTED, OK, Session


def prepare(output: Path | None) -> None:
    """Find out that a result could not be written before the work is done. Raises OutputError."""
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise OutputError(f"--output {output} cannot be written to: {error.strerror}") from error


def follow(session: Session, job: Job, output: Path | None) -> int:
    """Show the job until it ends, then write its result to `output`; returns the exit code."""
    shown = display(session.err)
    try:
        for view in job.follow(tell=shown.note):
            shown.show(view)
    except KeyboardInterrupt:
        shown.close()
        again = f"dockercomp watch {job.id}" + (f" --output {output}" if output else "")
        session.say(f"the job goes on; resume with: {again}")
        return INTERRUPTED
    finally:
        shown.close()
    path = job.save(output) if output and view.state == "completed" else None
    session.answer(view, lambda: _print_end(session, view, path))
    return OK if view.state == "completed" else FAILED


def _print_end(session: Session, view: JobView, path: Path | None) -> None:
    if view.state != "completed":
        session.say(f"job {view.id} {'was' if view.state == 'cancelled' else 'has'} {view.state}: {view.error}")
        if view.failures:
            session.say(f"what the failed chunks said: dockercomp logs {view.id}")
        return
    chunks = f"{counts(view)[1]:,} chunks, {view.quorum} equal results each"
    reused = f", {view.reused:,} of them computed earlier" if view.reused else ""
    print(f"{view.name} is complete after {_lasted(view)}: {chunks}{reused}")
    files = f"{view.result_files:,} files, " if view.result_files else ""
    print(f"result: {files}{view.result_size:,} bytes, SHA-256 {view.result_digest}")
    if view.trust is not None and view.trust.basis == "adaptive":
        print(f"trust: {how_wrong(view.trust)}")
    print(f"written to {path}" if path else f"fetch it with: dockercomp results {view.id} --output DIR")


def _lasted(view: JobView) -> str:
    ended = datetime.fromisoformat(view.ended) if view.ended else datetime.now().astimezone()
    return span((ended - datetime.fromisoformat(view.created)).total_seconds())
