"""The Python client: what `dockercomp` on the command line does, as methods.

    with Client() as client:
        job = client.submit("jobs/flights", "flights.csv")
        job.wait(progress=True)
        job.save("out")

Every error is a DockercompError; Unavailable means that the master did not answer.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from . import credentials, inputs, jobfolder, submission
from .calloptions import CallOptions
from .executor import Executor
from .images import Archive
from .inputs import Collected
from .job import Job
from .jobfolder import JobFolder
from .master import Master
from .protocol.views import (
    ClientPage,
    ClientView,
    ImageList,
    ImagePull,
    ImageRegistration,
    ImageView,
    JobPage,
    JobView,
    LoginLink,
    TokenAnswer,
    TokenRequest,
)
from .submission import Tell, Told

T = TypeVar("T")
_LONGEST_PULL_S = 3600.0


class Client:
    """One scientist's access to one master. May be used by several threads at once."""

    def __init__(self, url: str = "", token: str = "", *, retries: int = 3, pin: str = "") -> None:
        """Without `url` and `token`: those that environment or files name; so also `pin`, the fingerprint of the one
        certificate to trust. Raises as credentials.find does."""
        if not (url and token):
            found = credentials.find(url, token)
            url, token = found.url, found.token
        self.master = Master(url, token, retries=retries, pin=pin or credentials.pin_of(url))
        """The routes themselves."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.master.close()

    # --- jobs ------------------------------------------------------------------------------------------------------

    def submit(
        self,
        folder: JobFolder | Path | str,
        *files: Path | str | Job,
        reuse: bool | None = None,
        key: str = "",
        tell: Tell = lambda _: None,
    ) -> Job:
        """Submit the job folder `folder` over `files`: files, folders, patterns, URLs, jobs (for their results).

        Sends what the master does not have yet. `reuse` False computes again what an earlier job computed already. A
        repeated `key` gives the job it made before. `tell` gets a sentence before inputs are sent. Raises JobFileError,
        InputError, UnknownImage, InvalidJob.
        """
        read = folder if isinstance(folder, JobFolder) else jobfolder.load(Path(folder))
        given = [f"job:{each.id}" if isinstance(each, Job) else each for each in files]
        with inputs.collect(read.spec, given) as found:
            return self.submit_collected(read, found, reuse=reuse, key=key, tell=tell)

    def submit_collected(
        self,
        folder: JobFolder,
        found: Collected,
        *,
        reuse: bool | None = None,
        key: str = "",
        tell: Tell = lambda _: None,
        told: Told = lambda done, total: None,
    ) -> Job:
        """The same over inputs that inputs.collect found; `told` gets the bytes sent so far and in all."""
        view = submission.submit(self.master, folder, found, reuse=reuse, key=key, tell=tell, told=told)
        return Job(self.master, view.id, view)

    def job(self, job: str) -> Job:
        """The job with that id; whether there is one is found out when it is used."""
        return Job(self.master, job)

    def jobs(self) -> Iterator[JobView]:
        """All jobs, newest first."""
        for page in self.master.pages("jobs", JobPage):
            yield from page.jobs

    def map(
        self,
        function: Callable[..., T],
        *iterables: Iterable[Any],
        chunk_size: int | None = None,
        timeout: float | None = None,
        **options: Unpack[CallOptions],
    ) -> Iterator[T]:
        """Call `function` for each item, as the built-in map does, on the master's clients.

        The results come in the order of the items, each as soon as it is accepted. `options` say how to run it:
        image, quorum, memory, time_limit … (see CallOptions); `chunk_size` how many calls are run and verified
        together. Raises as Executor.map does: RemoteError for an error of the function, NotTravelling, JobFailed.
        """
        pool = Executor(client=self, chunk_size=chunk_size, **options)
        try:
            return pool.map(function, *iterables, timeout=timeout)
        finally:
            pool.shutdown(wait=False)

    # --- images ----------------------------------------------------------------------------------------------------

    def images(self) -> list[ImageView]:
        return self.master.call("images", ImageList).images

    def push_image(self, name: str, archive: Archive, *, told: Told = lambda done, total: None) -> ImageView:
        """Upload a `docker save` archive (images.saved makes one) and register it under `name`."""
        with archive.path.open("rb") as source:
            self.master.upload(archive.digest, archive.size, source, submission.counted(told, archive.size))
        request = ImageRegistration(name=name, archive=archive.digest, size=archive.size)
        return self.master.call("image_register", ImageView, request)

    def pull_image(self, name: str, platform: str = "linux/amd64") -> ImageView:
        """Have the master pull an image from its registry; its tag is pinned now. Returns once it is there.

        Raises InvalidJob where it cannot be had.
        """
        request = ImagePull(name=name, platform=platform)
        return self.master.call("image_pull", ImageView, request, timeout=_LONGEST_PULL_S)

    # --- admins ----------------------------------------------------------------------------------------------------

    def clients(self) -> Iterator[ClientView]:
        for page in self.master.pages("clients", ClientPage):
            yield from page.clients

    def enrolment_token(self, request: TokenRequest) -> TokenAnswer:
        """Make an enrolment token. Raises Forbidden for one who is not an admin."""
        return self.master.call("enrolment_token", TokenAnswer, request)

    def login_link(self) -> str:
        """A one-time link into the dashboard. Raises Forbidden for one who is not an admin."""
        return self.master.call("login_link", LoginLink).link
