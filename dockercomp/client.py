"""The Python client: what `dockercomp` on the command line does, as methods.

    with Client("http://127.0.0.1:8080", token) as client:
        folder = jobfolder.load(Path("jobs/flights"))
        job = client.submit(folder, inputs.collect(folder.spec, [Path("flights.csv")]))
        for job in client.follow(job.id):
            print(job.state)
        client.save_result(job.id, Path("out"))

Every error is a DockercompError; Unavailable means that the master did not answer.
"""

import hashlib
import secrets
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import msgspec

from . import jobfolder
from .images import Archive
from .inputs import InputError, LocalInput
from .jobfolder import JobFolder
from .protocol.errors import ChecksumMismatch, Conflict, DockercompError, Unavailable, UnknownImage
from .protocol.transport import Connection
from .protocol.views import (
    ChunkPage,
    ChunkView,
    ClientPage,
    ClientView,
    ImageList,
    ImageRegistration,
    ImageView,
    JobPage,
    JobView,
    LoginLink,
    SubmitRequest,
    TokenAnswer,
    TokenRequest,
)

P = TypeVar("P", JobPage, ChunkPage, ClientPage)
Tell = Callable[[str], None]

PAGE = 500
PATIENCE_S = 300.0
"""How long `follow` goes on asking a master that stopped answering."""


class OutputError(DockercompError):
    """A result cannot be written where it was asked for; it stays on the master."""


class Client:
    """One scientist's connection to one master. Not to be shared by threads that call at the same time."""

    def __init__(self, url: str, token: str, *, retries: int = 3) -> None:
        self._connection = Connection(url, token, retries=retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    # --- jobs ------------------------------------------------------------------------------------------------------

    def submit(
        self, folder: JobFolder, inputs: Sequence[LocalInput], *, key: str = "", tell: Tell = lambda _: None
    ) -> JobView:
        """Upload what the master does not have yet, then submit; a repeated `key` gives the job it made before.

        `tell` gets a sentence before each upload. An interrupted upload goes on where it stopped. Raises InvalidJob,
        UnknownImage (both before any input is sent, where that is known), InputError if a file changed meanwhile.
        """
        self._check_image(folder.spec.image)
        with tempfile.TemporaryFile() as tar:
            packed = jobfolder.pack(folder.path, tar)
            self._connection.upload(packed.digest, packed.size, tar)
        for each in inputs:
            tell(f"sending {each.name}, {each.size:,} bytes")
            self._send(each)
        request = SubmitRequest(spec=folder.spec, program=packed.digest, inputs=[each.wire for each in inputs])
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self._connection.call("submit", JobView, request, headers=headers)

    def jobs(self) -> Iterator[JobView]:
        """All jobs, newest first."""
        for page in self._pages("jobs", JobPage):
            yield from page.jobs

    def job(self, job: str) -> JobView:
        """Raises NotFound."""
        return self._connection.call("job", JobView, job=job)

    def cancel(self, job: str) -> JobView:
        """Stop a job; one that has ended stays as it is. Raises NotFound."""
        return self._connection.call("job_cancel", JobView, job=job)

    def chunks(self, job: str, *, stage: str = "", state: str = "") -> Iterator[ChunkView]:
        """The chunks handed out so far, in order, of one `stage` (map, reduce) or in one `state`."""
        wanted = {key: value for key, value in {"stage": stage, "state": state}.items() if value}
        for page in self._pages("job_chunks", ChunkPage, params=wanted, job=job):
            yield from page.chunks

    def follow(self, job: str, *, tell: Tell = lambda _: None) -> Iterator[JobView]:
        """The job as it is now, again and again, the last time when it has ended.

        A master that stops answering is asked again for PATIENCE_S seconds, then Unavailable is raised.
        """
        view: JobView | None = self.job(job)
        started = answered = time.monotonic()
        while view is None or view.state == "running":
            if view is not None:
                yield view
                answered = time.monotonic()
            time.sleep(min(2.0, 0.2 + (time.monotonic() - started) / 30))
            view = self._look(job, answered + PATIENCE_S, tell)
        yield view

    def _look(self, job: str, patient_until: float, tell: Tell) -> JobView | None:
        """The job, or None where the master does not answer and there is patience left."""
        try:
            return self.job(job)
        except Unavailable as error:
            if time.monotonic() > patient_until:
                raise
            tell(f"{error.detail}; still asking")
            return None

    # --- results ---------------------------------------------------------------------------------------------------

    def result(self, job: str) -> Iterator[bytes]:
        """The merged result in checked parts. Raises Conflict where there is none, ChecksumMismatch at its end."""
        view = self.job(job)
        if view.state != "completed":
            raise Conflict(_no_result(view))
        digest = hashlib.sha256()
        for part in self._connection.read_parts("job_result", job=job):
            digest.update(part)
            yield part
        if view.result_digest not in (None, digest.hexdigest()):
            raise ChecksumMismatch(f"the result of job {job} arrived with another SHA-256 than the master's; ask again")

    def save_result(self, job: str, folder: Path) -> Path:
        """Write folder/result (whole or not at all) and folder/job.json; returns the result's path.

        Raises OutputError where it cannot be written, and what `result` raises.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "result"
            _write(path, self.result(job))
            view = msgspec.json.format(msgspec.json.encode(self.job(job)), indent=2)
            _write(folder / "job.json", iter([view, b"\n"]))
        except OSError as error:
            raise OutputError(f"the result cannot be written to {folder}: {error.strerror}") from error
        return path

    # --- images ----------------------------------------------------------------------------------------------------

    def images(self) -> list[ImageView]:
        return self._connection.call("images", ImageList).images

    def push_image(self, name: str, archive: Archive) -> ImageView:
        """Upload a `docker save` archive (images.saved makes one) and register it under `name`."""
        with archive.path.open("rb") as source:
            self._connection.upload(archive.digest, archive.size, source)
        request = ImageRegistration(name=name, archive=archive.digest, size=archive.size)
        return self._connection.call("image_register", ImageView, request)

    # --- admins ----------------------------------------------------------------------------------------------------

    def clients(self) -> Iterator[ClientView]:
        for page in self._pages("clients", ClientPage):
            yield from page.clients

    def enrolment_token(self, request: TokenRequest) -> TokenAnswer:
        """Make an enrolment token. Raises Forbidden for one who is not an admin."""
        return self._connection.call("enrolment_token", TokenAnswer, request)

    def login_link(self) -> str:
        """A one-time link into the dashboard. Raises Forbidden for one who is not an admin."""
        return self._connection.call("login_link", LoginLink).link

    # --- inside ----------------------------------------------------------------------------------------------------

    def _pages(self, name: str, kind: type[P], params: dict[str, str] | None = None, **parts: str) -> Iterator[P]:
        cursor: str | None = ""
        while cursor is not None:
            wanted: dict[str, Any] = {"limit": PAGE, **(params or {}), **({"cursor": cursor} if cursor else {})}
            page = self._connection.call(name, kind, params=wanted, **parts)
            yield page
            cursor = page.next

    def _check_image(self, name: str) -> None:
        known = {image.pin.name for image in self.images()}
        if "@" not in name and not known & {name, name.removesuffix(":latest")}:
            raise UnknownImage(
                f"the master does not have the image {name}; push it first: dockercomp image push {name}"
                + (f" (it has {', '.join(sorted(known))})" if known else "")
            )

    def _send(self, file: LocalInput) -> None:
        try:
            with file.path.open("rb") as source:
                self._connection.upload(file.digest, file.size, source)
        except OSError as error:
            raise InputError(f"{file.path} cannot be read: {error.strerror}") from error
        except ChecksumMismatch as error:
            if file.path.stat().st_size == file.size:
                raise
            raise InputError(f"{file.path} changed while it was being sent; submit again") from error


def _no_result(view: JobView) -> str:
    if view.state == "running":
        return f"job {view.id} still runs; wait for it with: dockercomp watch {view.id}"
    return f"job {view.id} has no result, it is {view.state}: {view.error}"


def _write(path: Path, parts: Iterator[bytes]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            _copy(parts, file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(parts: Iterator[bytes], file: IO[bytes]) -> None:
    for part in parts:
        file.write(part)
    file.flush()
