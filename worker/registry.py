"""Images pulled from a registry by digest: with the volunteer's own login, within the volunteer's ceilings.

The worker fetches manifest, config and layers itself rather than let the engine pull: so each byte is counted, claimed
before it is written and proved, and nothing reaches the engine whose config is not the one that the order pins.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from dockercomp.protocol.image_pull import write_archive
from dockercomp.protocol.orders import ImagePin
from dockercomp.protocol.registry import Manifest, Reference, RegistryError, Repository, parse
from dockercomp.protocol.registry_login import BadLogin, Login, login_file, logins

from .disk import Claim
from .ledger import Ledger
from .urls import Reach

log = logging.getLogger(__name__)


class Registries:
    """`auth` names a file as `docker login` writes it; empty: docker's own. Read anew each time: a login counts."""

    def __init__(self, auth: str, reach: Reach, ledger: Ledger) -> None:
        self._auth, self._reach, self._ledger = auth, reach, ledger

    def fetch(self, pin: ImagePin, tag: str, place: Path, claim: Claim) -> None:
        """Write the pinned image to `place` as an archive under `tag`.

        Raises RegistryError where no registry has it or another image came, NoRoom, NetworkUsedUp, OSError.
        """
        reference = parse(pin.source)
        if not reference.digest:
            raise RegistryError(f"{pin.source} is not pinned by a digest")
        login = self._login(reference.registry)
        if self._reach == "none" and login is None:
            raise RegistryError("this volunteer's worker speaks to no registry (DC_FETCH=none)")
        private = self._reach == "any" or login is not None
        repository = Repository(reference, login, private=private, count=self._ledger.count)
        try:
            manifest = _proved(repository, reference, pin)
            claim.check(manifest.size)

            def held(parts: Iterator[bytes]) -> Iterator[bytes]:
                return claim.held(self._ledger.metered(parts))

            write_archive(repository, manifest, tag, place, held)
        finally:
            repository.close()

    def _login(self, registry: str) -> Login | None:
        try:
            return logins(login_file(self._auth)).get(registry)
        except BadLogin as error:
            log.warning("no login is used: %s", error)
            return None


def _proved(repository: Repository, reference: Reference, pin: ImagePin) -> Manifest:
    """The manifest, if it is for the very image that the order pins."""
    manifest = repository.manifest(reference.digest, pin.platform)
    if manifest.config.digest != pin.config_digest:
        raise RegistryError(
            f"{reference.registry} has the image {manifest.config.digest} as {pin.source}, not {pin.config_digest}"
        )
    return manifest
