"""An image of the scientist's own Docker Engine as a `docker save` archive, ready to be pushed."""

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .protocol.errors import DockercompError

_TAGGED = re.compile(r"(@|:[^/]+$)")


class ImageError(DockercompError):
    """The image cannot be taken out of this machine's Docker Engine; says why and what to do."""


@dataclass(frozen=True)
class Archive:
    """A `docker save` archive: SHA-256 (hex) and size in bytes."""

    path: Path
    digest: str
    size: int


def describe(path: Path) -> Archive:
    """An archive that lies on disk. Raises ImageError."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Archive(path, digest, file.tell())
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def saved(name: str, docker: str = "docker") -> Iterator[Archive]:
    """Save an image with the `docker` program, to a file that lasts as long as the context. Raises ImageError."""
    with tempfile.TemporaryDirectory(prefix="dockercomp-image-") as folder:
        path = Path(folder, "image.tar")
        with path.open("wb") as target:
            _save(tagged(name), docker, target.fileno())
        yield describe(path)


def tagged(name: str) -> str:
    """`name` with its tag: without one, `docker save` would take every tag of that name."""
    return name if _TAGGED.search(name) else f"{name}:latest"


def _save(name: str, docker: str, target: int) -> None:
    command = [docker, "image", "save", "--", name]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=target, stderr=subprocess.PIPE, check=False)
    except FileNotFoundError:
        raise ImageError(
            f"{docker} is not installed here; push from a machine that has it, or push a `docker save`"
            " archive with: dockercomp image push NAME --archive FILE"
        ) from None
    if done.returncode:
        raise ImageError(_why(name, done.stderr.decode(errors="replace").strip()))


def _why(name: str, words: str) -> str:
    if "No such image" in words or "reference does not exist" in words:
        return f"this machine's Docker has no image {name}; build or pull it first (docker images lists what is there)"
    if "permission denied" in words:
        return "no permission for Docker's socket: run this as root, or as a user of the group docker"
    if "Cannot connect" in words or "daemon running" in words:
        return "Docker does not run here: start it (systemctl start docker), then push again"
    return f"docker could not save {name}: {words}"
