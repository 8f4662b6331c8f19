"""Sending a job: what the master does not have yet, then the job itself."""

import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from . import jobfolder, keys
from .inputs import Collected
from .jobfolder import JobFolder
from .master import Master
from .notation import nearest
from .protocol.errors import UnknownImage
from .protocol.ordering import held_to
from .protocol.orders import ImagePin, JobSpec
from .protocol.views import Forecast, ImageList, JobView, SubmitRequest

Tell = Callable[[str], None]
Told = Callable[[int, int], None]
"""Told the bytes sent so far, and those to be sent in all."""

MOST_INLINE = 1000
"""More inputs than these are sent as a list of their own."""
MOST_FORETOLD = 20_000


def submit(
    master: Master,
    folder: JobFolder,
    inputs: Collected,
    *,
    reuse: bool | None = None,
    key: str = "",
    tell: Tell = lambda _: None,
    told: Told = lambda done, total: None,
) -> JobView:
    """Upload what the master does not have yet, then submit; a repeated `key` gives the job it made before.

    `tell` gets a sentence before the inputs are sent, `told` how far that is. An interrupted upload goes on where it
    stopped. Raises InvalidJob, UnknownImage (both before any input is sent, where that is known), InputError if an
    input changed meanwhile.
    """
    spec = folder.spec if reuse is None else msgspec.structs.replace(folder.spec, reuse=reuse)
    pin = _check_image_of(master, folder, spec)
    program = send_program(master, folder.path)
    send_inputs(master, inputs, tell, told)
    if len(inputs) <= MOST_INLINE:
        return hand_in(master, SubmitRequest(spec=spec, program=program, inputs=list(inputs)), pin, key)
    return hand_in(master, SubmitRequest(spec=spec, program=program, input_list=send_list(master, inputs)), pin, key)


def forecast(master: Master, folder: JobFolder, inputs: Collected) -> Forecast:
    """What the job would be if it were submitted now. Sends no input and no program; of very many inputs their list."""
    _check_image_of(master, folder, folder.spec)
    with tempfile.TemporaryFile() as tar:
        program = jobfolder.pack(folder.path, tar).digest
    request = SubmitRequest(spec=folder.spec, program=program)
    if len(inputs) <= MOST_FORETOLD:
        request = msgspec.structs.replace(request, inputs=list(inputs))
    else:
        request = msgspec.structs.replace(request, input_list=send_list(master, inputs))
    return master.call("job_forecast", Forecast, request, timeout=_patience(request))


def send_inputs(master: Master, inputs: Collected, tell: Tell, told: Told) -> None:
    """Upload what the master does not have of the inputs. Raises InputError if one changed since it was read."""
    files, total = inputs.ask(master.missing)
    if files:
        tell(f"sending {files:,} {'file' if files == 1 else 'files'}, {total:,} bytes")
    sent = counted(told, total)
    inputs.send(lambda digest, size, file: master.upload(digest, size, file, sent))


def counted(told: Told, total: int) -> Callable[[int], None]:
    """Adds up what is sent and tells it."""
    done = 0

    def sent(more: int) -> None:
        nonlocal done
        done += more
        told(done, total)

    return sent


def send_list(master: Master, inputs: Collected) -> str:
    """Upload the list of inputs; returns its digest."""
    with tempfile.TemporaryFile(prefix="dockercomp-") as file:
        digest, size = inputs.listed(file)
        master.upload(digest, size, file)
    return digest


def send_program(master: Master, folder: Path) -> str:
    """Pack and upload a job folder; returns its digest. Raises JobFileError."""
    with tempfile.TemporaryFile() as tar:
        packed = jobfolder.pack(folder, tar)
        master.upload(packed.digest, packed.size, tar)
    return packed.digest


def hand_in(master: Master, request: SubmitRequest, pin: ImagePin, key: str = "") -> JobView:
    """Sign and submit what was uploaded; a repeated `key` gives the job it made before.

    `pin` is what check_image found. Raises InvalidJob, UnknownImage, and as keys.signing_key does.
    """
    key = key or str(uuid.uuid4())
    signing_key = keys.signing_key(master)
    if signing_key is not None:
        request = signing_key.sign(request, pin, key)
    headers = {"Idempotency-Key": key}
    return master.call("submit", JobView, request, headers=headers, timeout=_patience(request))


def _patience(request: SubmitRequest) -> float | None:
    """Seconds to wait for a master that looks at every one of very many inputs."""
    return 600.0 if request.input_list else None


def check_image(master: Master, spec: JobSpec) -> ImagePin:
    """How the master pins the job's image. Raises UnknownImage, naming those it has."""
    name = spec.image
    if not name:
        return ImagePin(name="", config_digest="", platform="")
    known = [image.pin for image in master.call("images", ImageList).images]
    base, digest = held_to(name)
    for pin in known:
        if pin.name == name or (pin.name == base and digest in ("", pin.config_digest)):
            return pin
    if digest and base in {pin.name for pin in known}:
        raise UnknownImage(f"the master's image {base} is not {digest}; push that one: dockercomp image push {base}")
    names = sorted({pin.name for pin in known})
    near = nearest(name, tuple(names))
    push = f"push it first: dockercomp image push {name}" + (f" (it has {', '.join(names)})" if names else "")
    raise UnknownImage(f"the master does not have the image {name}{f'{near} Else' if near else ';'} {push}")


def _check_image_of(master: Master, folder: JobFolder, spec: JobSpec) -> ImagePin:
    """The same, naming the line of the job file."""
    try:
        return check_image(master, spec)
    except UnknownImage as error:
        raise UnknownImage(str(folder.file.error("image", str(error)))) from error
