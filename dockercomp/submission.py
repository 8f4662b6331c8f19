"""Sending a job: what the master does not have yet, then the job itself."""

import tempfile
import uuid
from collections.abc import Callable, Sequence

import msgspec

from . import jobfolder
from .inputs import InputError, LocalInput
from .jobfolder import JobFolder
from .master import Master
from .protocol.errors import ChecksumMismatch, UnknownImage
from .protocol.orders import JobSpec
from .protocol.views import ImageList, JobView, SubmitRequest

Tell = Callable[[str], None]


def submit(
    master: Master,
    folder: JobFolder,
    inputs: Sequence[LocalInput],
    *,
    reuse: bool | None = None,
    key: str = "",
    tell: Tell = lambda _: None,
) -> JobView:
    """Upload what the master does not have yet, then submit; a repeated `key` gives the job it made before.

    `tell` gets a sentence before each upload. An interrupted upload goes on where it stopped. Raises InvalidJob,
    UnknownImage (both before any input is sent, where that is known), InputError if a file changed meanwhile.
    """
    spec = folder.spec if reuse is None else msgspec.structs.replace(folder.spec, reuse=reuse)
    _check_image(master, spec)
    with tempfile.TemporaryFile() as tar:
        packed = jobfolder.pack(folder.path, tar)
        master.upload(packed.digest, packed.size, tar)
    for each in inputs:
        tell(f"sending {each.name}, {each.size:,} bytes")
        _send(master, each)
    request = SubmitRequest(spec=spec, program=packed.digest, inputs=[each.wire for each in inputs])
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return master.call("submit", JobView, request, headers=headers)


def _check_image(master: Master, spec: JobSpec) -> None:
    name = spec.image
    known = {image.pin.name for image in master.call("images", ImageList).images}
    if name and "@" not in name and not known & {name, name.removesuffix(":latest")}:
        raise UnknownImage(
            f"the master does not have the image {name}; push it first: dockercomp image push {name}"
            + (f" (it has {', '.join(sorted(known))})" if known else "")
        )


def _send(master: Master, file: LocalInput) -> None:
    try:
        with file.path.open("rb") as source:
            master.upload(file.digest, file.size, source)
    except OSError as error:
        raise InputError(f"{file.path} cannot be read: {error.strerror}") from error
    except ChecksumMismatch as error:
        if file.path.stat().st_size == file.size:
            raise
        raise InputError(f"{file.path} changed while it was being sent; submit again") from error
