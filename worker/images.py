"""The images that jobs run in: present, else streamed from the master and proved to be the one that was ordered."""

import contextlib
import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from dockercomp.machine import manifest
from dockercomp.machine.home import write_private
from dockercomp.machine.image_archive import ImageArchiveError, archive_pin, retag
from dockercomp.protocol.orders import ImagePin

from .engine import Engine, EngineError

log = logging.getLogger(__name__)

_PIN = re.compile(r"sha256:[0-9a-f]{64}")


class ImageRefused(EngineError):
    """The image is not pinned, or what arrived is not the pinned one; nothing was loaded."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An image that we loaded, or were about to. `engine_id` is empty until the engine has said it."""

    pin: ImagePin
    engine_id: str
    tag: str
    loaded_by_us: bool = True


class ImageStore:
    """Knows in DC_HOME/worker/images.json what it loaded. For any number of threads, one process a DC_HOME."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self._engine, self._home = engine, home
        self._file = home / "worker" / "images.json"
        self._spool = home / "worker" / "spool"
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    def ensure(self, pin: ImagePin, fetch: Callable[[], Iterator[bytes]]) -> str:
        """The engine's id of the pinned image; `fetch` streams its archive where the engine does not have it.

        Raises ImageRefused, EngineError, OSError where the disk is full, and what `fetch` raises.
        """
        if not _PIN.fullmatch(pin.config_digest):
            raise ImageRefused(f"the image {pin.name} is not pinned by the digest of its config")
        with self._turn(pin.config_digest):
            return self._present(pin) or self._load(pin, fetch)

    def remove_all(self) -> None:
        """Remove the images that we loaded, except where someone has given them another tag. Raises EngineError."""
        with self._lock:
            entries = self._entries()
            for digest, entry in list(entries.items()):
                self._engine.remove_image(entry.tag)
                del entries[digest]
                self._write(entries)
                self._forget(digest, entry.engine_id)

    def _turn(self, digest: str) -> threading.Lock:
        """One at a time for an image: the second to ask finds it present."""
        with self._lock:
            return self._turns.setdefault(digest, threading.Lock())

    def _present(self, pin: ImagePin) -> str | None:
        """Some engines find an image by its config's digest, others only by an id of their own, which we remember."""
        found = self._engine.image_id(pin.config_digest)
        if found is None:
            with self._lock:
                entry = self._entries().get(pin.config_digest)
            if entry and entry.engine_id:
                found = self._engine.image_id(entry.engine_id)
        return found

    def _load(self, pin: ImagePin, fetch: Callable[[], Iterator[bytes]]) -> str:
        short = pin.config_digest.removeprefix("sha256:")[:12]
        tag = f"dockercomp-{self._engine.instance}/{short}:latest"
        log.info("image %s: fetching %s", pin.name, short)
        with self._spooled() as received, self._spooled() as retagged:
            _write_all(received, fetch())
            _check(pin, received)
            retag(received, retagged, tag)
            received.unlink()
            self._remember(pin, "", tag)
            self._engine.load_image(retagged)
        engine_id = self._engine.image_id(tag)
        if engine_id is None:
            raise EngineError(f"the engine loaded the image {pin.name}, but does not know it as {tag}")
        self._remember(pin, engine_id, tag)
        log.info("image %s: loaded as %s", pin.name, tag)
        return engine_id

    @contextlib.contextmanager
    def _spooled(self) -> Iterator[Path]:
        """A path for a file that goes with the context."""
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._spool / f"image-{secrets.token_hex(8)}.tar"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    # --- what we loaded ---

    def _remember(self, pin: ImagePin, engine_id: str, tag: str) -> None:
        """Before loading and after, here and in the instance's manifest: an interrupted load is known."""
        with self._lock:
            self._write({**self._entries(), pin.config_digest: Entry(pin=pin, engine_id=engine_id, tag=tag)})
            manifest.record(self._home, "image", engine_id or pin.config_digest)

    def _forget(self, *ids: str) -> None:
        known = {entry.name for entry in manifest.entries(self._home) if entry.kind == "image"}
        for image in known & set(ids):
            manifest.forget(self._home, "image", image)

    def _entries(self) -> dict[str, Entry]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Entry])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            raise EngineError(
                f"{self._file} cannot be read ({error}); remove it, and images are fetched again"
            ) from error

    def _write(self, entries: dict[str, Entry]) -> None:
        write_private(self._file, msgspec.json.format(msgspec.json.encode(entries)))


def _write_all(path: Path, parts: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for part in parts:
            file.write(part)


def _check(pin: ImagePin, archive: Path) -> None:
    """Raises ImageRefused unless the archive holds exactly the pinned image."""
    try:
        digest, platform = archive_pin(archive)
    except ImageArchiveError as error:
        raise ImageRefused(f"the master sent something else than the image {pin.name}: {error}") from error
    if digest != pin.config_digest:
        raise ImageRefused(f"the image {pin.name} must be {pin.config_digest}, but the master sent {digest}")
    if platform != pin.platform:
        raise ImageRefused(f"the image {pin.name} must be for {pin.platform}, but the master sent one for {platform}")
