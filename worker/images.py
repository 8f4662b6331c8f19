"""The images that jobs run in: present, else from a registry by digest, else streamed from the master; always proved.

Images that no job of the moment needs are dropped, those unused for longest first, where the disk's ceiling wants room.
"""

import contextlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from dockercomp.machine import manifest
from dockercomp.machine.home import write_private
from dockercomp.machine.image_archive import ImageArchiveError, archive_pin, retag, unpacked
from dockercomp.protocol.orders import ImagePin
from dockercomp.protocol.registry import RegistryError

from .disk import Claim, Disk
from .engine import Engine, EngineError
from .registry import Registries

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
    size: int = 0
    """Bytes that the engine holds for it, layers shared with others counted in full."""
    used: float = 0.0
    """When a job last wanted it, in seconds since the epoch."""


class ImageStore:
    """Knows in DC_HOME/worker/images.json what it loaded. For any number of threads, one process a DC_HOME."""

    def __init__(self, engine: Engine, home: Path, disk: Disk, registries: Registries | None = None) -> None:
        self._engine, self._home, self._disk, self._registries = engine, home, disk, registries
        self.needed: Callable[[], set[str]] = set
        """The config digests of the images that must stay."""
        self._file = home / "worker" / "images.json"
        self._spool = home / "worker" / "spool"
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._held = sum(entry.size for entry in self._entries().values())
        disk.images, disk.make_room = lambda: self._held, self.make_room

    def ensure(self, pin: ImagePin, fetch: Callable[[], Iterator[bytes]]) -> str:
        """The engine's id of the pinned image; `fetch` streams its archive where the engine does not have it.

        Raises ImageRefused, EngineError, OSError where the disk is full, and what `fetch` raises.
        """
        if not _PIN.fullmatch(pin.config_digest):
            raise ImageRefused(f"the image {pin.name} is not pinned by the digest of its config")
        with self._turn(pin.config_digest):
            found = self._present(pin)
            if found is None:
                return self._load(pin, fetch)
            self._touch(pin.config_digest)
            return found

    def remove_all(self) -> None:
        """Remove the images that we loaded, except where someone has given them another tag. Raises EngineError."""
        with self._lock:
            for digest in self._entries():
                self._drop(digest)

    def make_room(self, size: int) -> bool:
        """Remove images that are not needed, until `size` bytes are free; whether any was removed."""
        freed = 0
        with self._lock:
            needed = self.needed()
            unused = [(entry.used, digest) for digest, entry in self._entries().items() if digest not in needed]
            for _, digest in sorted(unused):
                if freed >= size:
                    break
                with contextlib.suppress(EngineError):  # a container of an ending job may hold it yet
                    freed += self._drop(digest)
        return freed > 0

    def _drop(self, digest: str) -> int:
        """Remove one image; the bytes that were held for it. Raises EngineError."""
        entries = self._entries()
        entry = entries.pop(digest)
        self._engine.remove_image(entry.tag)
        log.info("image %s: removed", entry.pin.name)
        self._write(entries)
        self._forget(digest, entry.engine_id)
        return max(1, entry.size)

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
        with self._spooled() as archive, self._spooled() as other, self._disk.claim(archive, other) as claim:
            if not self._from_registry(pin, tag, archive, claim):
                _from_master(pin, fetch, tag, archive, other, claim)
            size = _measured(pin, archive, claim)
            claim.grow(archive.stat().st_size)  # the engine unpacks the archive beside it before it takes the layers
            self._remember(pin, "", tag, size)
            self._engine.load_image(archive)
        engine_id = self._engine.image_id(tag)
        if engine_id is None:
            raise EngineError(f"the engine loaded the image {pin.name}, but does not know it as {tag}")
        self._remember(pin, engine_id, tag, size)
        log.info("image %s: loaded as %s", pin.name, tag)
        return engine_id

    def _from_registry(self, pin: ImagePin, tag: str, place: Path, claim: Claim) -> bool:
        """Whether a registry gave the pinned image; one that does not, or lies, is passed over. Raises NoRoom,
        NetworkUsedUp."""
        if not pin.source or self._registries is None:
            return False
        before = claim.written
        try:
            self._registries.fetch(pin, tag, place, claim)
            _check(pin, place, "the registry")
        except (RegistryError, ImageRefused) as error:
            log.warning("image %s: not from its registry, so from the master: %s", pin.name, error)
            place.unlink(missing_ok=True)
            claim.shrink(claim.written - before)
            return False
        return True

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

    def _remember(self, pin: ImagePin, engine_id: str, tag: str, size: int) -> None:
        """Before loading and after, here and in the instance's manifest: an interrupted load is known."""
        entry = Entry(pin=pin, engine_id=engine_id, tag=tag, size=size, used=time.time())
        with self._lock:
            self._write({**self._entries(), pin.config_digest: entry})
            manifest.record(self._home, "image", engine_id or pin.config_digest)

    def _touch(self, digest: str) -> None:
        with self._lock:
            entries = self._entries()
            if digest in entries:
                entries[digest] = msgspec.structs.replace(entries[digest], used=time.time())
                self._write(entries)

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
        self._held = sum(entry.size for entry in entries.values())


def _from_master(
    pin: ImagePin, fetch: Callable[[], Iterator[bytes]], tag: str, place: Path, received: Path, claim: Claim
) -> None:
    """The master's archive, at `place` under our tag. Raises ImageRefused, NoRoom, what `fetch` raises."""
    before = claim.written
    with received.open("wb") as file:
        for part in claim.held(fetch()):
            file.write(part)
    _check(pin, received, "the master")
    size = received.stat().st_size
    claim.grow(size)
    retag(received, place, tag)
    received.unlink()
    claim.shrink(claim.written - before - size)


def _measured(pin: ImagePin, archive: Path, claim: Claim) -> int:
    """The bytes that the engine will hold for the image, claimed. Raises ImageRefused, NoRoom."""
    try:
        return unpacked(archive, claim.grow)
    except ImageArchiveError as error:
        raise ImageRefused(f"the image {pin.name} cannot be unpacked: {error}") from error


def _check(pin: ImagePin, archive: Path, sender: str) -> None:
    """Raises ImageRefused unless the archive holds exactly the pinned image."""
    try:
        digest, platform = archive_pin(archive)
    except ImageArchiveError as error:
        raise ImageRefused(f"{sender} sent something else than the image {pin.name}: {error}") from error
    if digest != pin.config_digest:
        raise ImageRefused(f"the image {pin.name} must be {pin.config_digest}, but {sender} sent {digest}")
    if platform != pin.platform:
        raise ImageRefused(f"the image {pin.name} must be for {pin.platform}, but {sender} sent one for {platform}")
