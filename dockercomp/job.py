"""One job, as the scientist holds it: followed, waited for, fetched."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console

from .master import Master
from .progress import display
from .protocol.errors import Busy, ChecksumMismatch, Conflict, DockercompError, NotFound, Unavailable
from .protocol.views import (
    ChunkPage,
    ChunkView,
    Explanation,
    JobView,
    ResultFile,
    ResultFiles,
    RunningChunk,
    RunningPage,
    SpeedupList,
    SpeedupView,
)
from .resultfolder import appearing, write_folder

Tell = Callable[[str], None]

PATIENCE_S = 300.0
"""How long `follow` goes on asking a master that stopped answering."""


class OutputError(DockercompError):
    """A result cannot be written where it was asked for; it stays on the master."""


class JobFailed(Conflict):
    """A job that was waited for has failed or was cancelled. `view` is what became of it."""

    def __init__(self, view: JobView) -> None:
        verb = "was cancelled" if view.state == "cancelled" else "has failed"
        super().__init__(f"job {view.id} {verb}: {view.error}")
        self.view = view


class Job:
    """A job on a master, known by its id. Making one asks nothing: methods raise NotFound where there is none.

    May be used by several threads.
    """

    def __init__(self, master: Master, id: str, submitted: JobView | None = None) -> None:
        self.id = id
        self.submitted = submitted
        """The job as it was when it was submitted from here."""
        self._master = master

    def __repr__(self) -> str:
        return f"<Job {self.id} at {self._master.url}>"

    @property
    def view(self) -> JobView:
        """The job as it is now: asks the master each time."""
        return self._master.call("job", JobView, job=self.id)

    # --- while it runs ---------------------------------------------------------------------------------------------

    def follow(self, *, tell: Tell = lambda _: None) -> Iterator[JobView]:
        """The job as it is now, again and again, the last time when it has ended.

        A master that stops answering is asked again for PATIENCE_S seconds, then Unavailable is raised.
        """
        view: JobView | None = self.view
        started = answered = time.monotonic()
        while view is None or view.state == "running":
            if view is not None:
                yield view
                answered = time.monotonic()
            time.sleep(min(2.0, 0.1 + (time.monotonic() - started) / 100))
            view = self._look(answered + PATIENCE_S, tell)
        yield view

    def wait(self, *, progress: bool = False, timeout: float | None = None) -> JobView:
        """Return once the job is complete; `progress` shows it on standard error meanwhile.

        Raises JobFailed with the reason, TimeoutError after `timeout` seconds (the job goes on), and as `follow` does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        shown = display(Console(stderr=True)) if progress else None
        try:
            for view in self.follow(tell=shown.note if shown else lambda _: None):
                if shown:
                    shown.show(view)
                if view.state == "running" and deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"job {self.id} still runs after {timeout:g} s; it goes on")
        finally:
            if shown:
                shown.close()
        if view.state != "completed":
            raise JobFailed(view)
        return view

    def cancel(self) -> JobView:
        """Stop it; one that has ended stays as it is."""
        return self._master.call("job_cancel", JobView, job=self.id)

    def retry(self) -> JobView:
        """Run again what was given up, and only that. Raises Conflict where there is nothing to retry."""
        return self._master.call("job_retry", JobView, job=self.id)

    def remove(self) -> JobView:
        """Remove it once it has ended, with its result and what no other job uses. Raises Conflict while it runs."""
        return self._master.call("job_remove", JobView, job=self.id)

    def explain(self) -> Explanation:
        """Why it is as it is, and what would help."""
        return self._master.call("explain", Explanation, subject=self.id)

    def chunks(self, *, stage: str = "", state: str = "") -> Iterator[ChunkView]:
        """The chunks handed out so far, in order, of one `stage` (map, reduce) or in one `state`."""
        wanted = {key: value for key, value in {"stage": stage, "state": state}.items() if value}
        for page in self._master.pages("job_chunks", ChunkPage, params=wanted, job=self.id):
            yield from page.chunks

    def running(self) -> list[RunningChunk]:
        """What runs now, as the workers last reported it."""
        return self._master.call("job_running", RunningPage, job=self.id).chunks

    def log_of(self, lease: str, start: int = 0) -> tuple[int, bytes]:
        """What the run of a lease (see `running`) has logged from byte `start` on, and the byte where that begins:
        later than `start` where the beginning is no longer kept. Empty once it has ended. Raises NotFound."""
        params = {"lease": lease, "kind": "log", "from": start}
        answer = self._master.request("job_stream", params=params, job=self.id)
        return int(answer.headers.get("Stream-From", start)), answer.content

    def _look(self, patient_until: float, tell: Tell) -> JobView | None:
        """The job, or None where the master does not answer and there is patience left."""
        try:
            return self.view
        except Unavailable as error:
            if time.monotonic() > patient_until:
                raise
            tell(f"{error.detail}; still asking")
            return None

    # --- its result ------------------------------------------------------------------------------------------------

    def parts(self) -> Iterator[bytes]:
        """The merged result in checked parts. Raises Conflict where there is none, ChecksumMismatch at its end."""
        view = self.view
        if view.state != "completed":
            raise Conflict(_no_result(view))
        digest = hashlib.sha256()
        for part in self._master.read_parts("job_result", job=self.id):
            digest.update(part)
            yield part
        if view.result_digest not in (None, digest.hexdigest()):
            raise ChecksumMismatch(f"the result of job {self.id} arrived with another SHA-256 than the master's")

    def result(self) -> bytes:
        """The merged result, whole. Raises as `parts` does."""
        return b"".join(self.parts())

    def result_text(self) -> str:
        """The merged result as UTF-8 text. Raises as `parts` does, and UnicodeDecodeError."""
        return self.result().decode()

    def files(self) -> Iterator[ResultFile]:
        """The files of a result of several, in chunk order. Raises Conflict where the result is plain bytes."""
        for page in self._master.pages("job_files", ResultFiles, job=self.id):
            yield from page.files

    def partial(self) -> Iterator[bytes]:
        """What is accepted of the last stage so far, in chunk order, with gaps where chunks are not: also of a job that
        ended without a result. Raises Conflict where the result is several files (`files` lists those there are)."""
        view = self.view
        if self._gives_files():
            raise Conflict(f"the result of job {self.id} is files; `files` lists those there are already")
        for chunk in self.chunks(stage=view.stages[-1].name, state="accepted"):
            yield from self._master.read_parts("chunk_result", chunk=chunk.id)

    def plot(self, number: int, form: str = "svg") -> bytes:
        """Plot `number`, from 1, that the job declares: its picture (`svg`) or its points (`csv`).

        Drawn of what is accepted so far while the job runs. Raises NotPlottable where the data is not what it needs,
        NotFound where there is no such plot, or it has no points."""
        return self._master.request("job_plot", params={"format": form}, job=self.id, number=str(number)).content

    def speedups(self, *, stage: str = "", kind: str = "") -> list[SpeedupView]:
        """How it speeds up with its CPUs, of each stage and kind of machine, or of those named; empty while no run had
        the same CPUs from begin to end."""
        params = {"stage": stage, "kind": kind}
        return self._master.call("job_speedup", SpeedupList, params=params, job=self.id).speedups

    def speedup_as(self, form: str, *, stage: str = "", kind: str = "") -> bytes:
        """The same as `csv`, or the first one as a picture (`svg`). Raises NotFound where there is none to draw."""
        params = {"format": form, "stage": stage, "kind": kind}
        return self._master.request("job_speedup", params=params, job=self.id).content

    def file_parts(self, name: str) -> Iterator[bytes]:
        """One file of a result of several, by the name that `files` gives, in checked parts. Raises NotFound."""
        return self._master.read_parts("job_file", params={"name": name}, job=self.id)

    def receipt(self, edition: int | None = None) -> bytes:
        """The signed receipt, byte for byte (see protocol.receipts): the newest edition, or that one. Raises Conflict
        where there is no result, Busy while the receipt of a large job is still being made."""
        params = {"edition": edition} if edition else None
        return self._master.request("job_receipt", params=params, job=self.id).content

    def _gives_files(self) -> bool:
        try:
            self._master.call("job_files", ResultFiles, params={"limit": 1}, job=self.id)
        except Conflict:
            return False
        return True

    def save(self, folder: Path | str) -> Path:
        """Write folder/result (whole or not at all; a folder where the result is several files), folder/job.json and
        folder/receipt.json, this one only if the master has made it already.

        Returns the result's path. Raises OutputError where it cannot be written, and what `parts` raises.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "result"
            with appearing(path) as place:
                if self.view.result_files:
                    write_folder(place, self.parts(), (file.name for file in self.files()))
                else:
                    _write(place, self.parts())
            view = msgspec.json.format(msgspec.json.encode(self.view), indent=2)
            with appearing(folder / "job.json") as place:
                _write(place, [view, b"\n"])
            self._save_receipt(folder / "receipt.json")
        except OSError as error:
            raise OutputError(f"the result cannot be written to {folder}: {error.strerror}") from error
        return path

    def _save_receipt(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with suppress(Busy, NotFound):
            raw = self.receipt()
            with appearing(path) as place:
                _write(place, [raw])


def _no_result(view: JobView) -> str:
    if view.state == "running":
        return f"job {view.id} still runs; wait for it with: dockercomp watch {view.id} (in Python: job.wait())"
    return f"job {view.id} has no result, it is {view.state}: {view.error}"


def _write(path: Path, parts: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
