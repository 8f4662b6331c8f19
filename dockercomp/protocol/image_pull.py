"""An image of a registry as a `docker save` archive, each part proved by its digest as it comes."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from .registry import Manifest, Repository

Held = Callable[[Iterator[bytes]], Iterator[bytes]]
"""What bytes pass through before they are written: ceilings, which raise."""


def write_archive(repository: Repository, manifest: Manifest, tag: str, place: Path, held: Held = lambda p: p) -> None:
    """Write the image to `place` under `tag` as its only name. Layers stay compressed as the registry has them.

    Raises RegistryError, OSError, what `held` raises; `place` is removed then.
    """
    try:
        with tarfile.open(place, "w", format=tarfile.PAX_FORMAT) as archive:
            _write(repository, manifest, tag, archive, held)
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def _write(repository: Repository, manifest: Manifest, tag: str, archive: tarfile.TarFile, held: Held) -> None:
    config, layers = f"{manifest.config.digest.removeprefix('sha256:')}.json", []
    body = b"".join(held(iter([repository.config(manifest.config)])))
    _add(archive, config, len(body), io.BytesIO(body))
    for number, layer in enumerate(manifest.layers):
        name = f"{number}/layer.tar"
        _add(archive, name, layer.size, _Parts(held(repository.parts(layer))))
        layers.append(name)
    names = json.dumps([{"Config": config, "RepoTags": [tag], "Layers": layers}]).encode()
    _add(archive, "manifest.json", len(names), io.BytesIO(names))


def _add(archive: tarfile.TarFile, name: str, size: int, content: "IO[bytes] | _Parts") -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, content)  # type: ignore[arg-type]  # it only ever calls read
    if isinstance(content, _Parts):
        content.drained()


class _Parts:
    """Parts that come, as a file that is read once. What proves them follows the last one."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._left = parts, b""

    def read(self, size: int) -> bytes:
        while len(self._left) < size and (part := next(self._parts, b"")):
            self._left += part
        given, self._left = self._left[:size], self._left[size:]
        return given

    def drained(self) -> None:
        """Raises what is raised after the last part."""
        for _ in self._parts:
            pass
