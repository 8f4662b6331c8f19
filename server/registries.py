"""Images that scientists name in a registry: resolved once, pinned by both digests, and kept for workers without it."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dockercomp.machine.image_archive import ImageArchiveError, archive_pin
from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.image_pull import write_archive
from dockercomp.protocol.orders import ImagePin
from dockercomp.protocol.registry import Reference, RegistryError, Repository, parse
from dockercomp.protocol.registry_login import BadLogin, login_file, logins
from server.settings import Settings
from server.store.blobs import BlobStore

LARGEST = 64 * 2**30
"""Bytes of an image as its registry sends it."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Pulled:
    pin: ImagePin
    archive: str
    """The blob that holds it as a `docker save` archive."""
    size: int


def pull(settings: Settings, blobs: BlobStore, name: str, platform: str) -> Pulled:
    """Fetch the image `name` for a platform, with the login of the master's own admin.

    Its tag is resolved now and never again. Raises InvalidJob where the registry does not have it, does not answer, or
    may not be spoken to.
    """
    try:
        reference = parse(name)
        with tempfile.TemporaryDirectory(prefix="image-", dir=settings.home) as scratch:
            return _fetched(settings, blobs, reference, name, platform, Path(scratch, "image.tar"))
    except (RegistryError, BadLogin, ImageArchiveError) as error:
        raise InvalidJob(f"{name} cannot be pulled: {error}") from error


def _fetched(
    settings: Settings, blobs: BlobStore, reference: Reference, name: str, platform: str, place: Path
) -> Pulled:
    login = logins(login_file(settings.registry_auth)).get(reference.registry)
    repository = Repository(reference, login, private=settings.private_urls or login is not None)
    try:
        manifest = repository.manifest(reference.wanted, platform)
        if manifest.size > LARGEST:
            raise RegistryError(f"it is larger than {LARGEST >> 30} GiB")
        write_archive(repository, manifest, "dockercomp-pulled:latest", place)
    finally:
        repository.close()
    digest, made_for = archive_pin(place)
    if made_for != platform:
        raise RegistryError(f"it is made for {made_for}, not for {platform}")
    pin = ImagePin(name=name, config_digest=digest, platform=platform, source=reference.at(manifest.digest))
    return Pulled(pin, blobs.put_stream(_parts(place)), place.stat().st_size)


def _parts(place: Path) -> Iterator[bytes]:
    with place.open("rb") as file:
        while part := file.read(_BLOCK):
            yield part
