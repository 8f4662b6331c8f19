"""Images travel with proof: what is present stays, what is fetched is checked before the engine sees it."""

import gzip
import hashlib
import io
import json
import secrets
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from dockercomp.machine import manifest
from dockercomp.machine.image_archive import archive_pin
from dockercomp.protocol.errors import Unavailable
from dockercomp.protocol.orders import ImagePin
from tests.integration.test_engine import HOST, docker
from worker.disk import Disk, NoRoom
from worker.engine import Engine, EngineError
from worker.images import ImageRefused, ImageStore
from worker.registry import Registries


def a_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@dataclass
class Parcel:
    """An image's archive that the engine does not hold, under a name of the volunteer's own."""

    pin: ImagePin
    content: bytes
    name: str
    fetches: list[str] = field(default_factory=list)

    def fetch(self) -> Iterator[bytes]:
        self.fetches.append("once")
        for start in range(0, len(self.content), 4096):
            yield self.content[start : start + 4096]


@pytest.fixture
def parcels(tmp_path: Path) -> Iterator[Callable[..., Parcel]]:
    """Makes tiny images of their own by the engine, saved, and taken out of it again."""
    made: list[Parcel] = []

    def make(size: int = 2000) -> Parcel:
        name = f"dct-{secrets.token_hex(4)}:latest"
        docker("import", str(a_tar(tmp_path / "root.tar", {"file": secrets.token_bytes(size)})), name)
        docker("save", "-o", str(tmp_path / "saved.tar"), name)
        docker("rmi", name)
        digest, platform = archive_pin(tmp_path / "saved.tar")
        pin = ImagePin(name="tiny", config_digest=digest, platform=platform)
        made.append(Parcel(pin, (tmp_path / "saved.tar").read_bytes(), name))
        return made[-1]

    yield make
    for parcel in made:
        for reference in (parcel.name, parcel.pin.config_digest):
            subprocess.run(["/usr/bin/docker", "rmi", "-f", reference], check=False, capture_output=True)


@pytest.fixture
def parcel(parcels: Callable[..., Parcel]) -> Parcel:
    return parcels()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(f"test{secrets.token_hex(4)}", HOST)
    yield engine
    engine.close()


def images(engine: Engine, home: Path, limit: int = 0, registries: Registries | None = None) -> ImageStore:
    """A store whose disk may hold `limit` bytes."""
    home.mkdir(exist_ok=True)
    return ImageStore(engine, home, Disk(home, limit), registries)


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Iterator[ImageStore]:
    store = images(engine, tmp_path / "home")
    yield store
    store.remove_all()


def spooled(home: Path) -> list[Path]:
    return list((home / "worker" / "spool").glob("*"))


def recorded(home: Path) -> list[str]:
    return [entry.name for entry in manifest.entries(home) if entry.kind == "image" and not entry.existed]


def test_an_image_is_fetched_once_under_our_own_tag(
    store: ImageStore, engine: Engine, parcel: Parcel, tmp_path: Path
) -> None:
    found = store.ensure(parcel.pin, parcel.fetch)
    short = parcel.pin.config_digest.removeprefix("sha256:")[:12]
    tag = f"dockercomp-{engine.instance}/{short}:latest"
    assert engine.image_id(tag) == found
    assert json.loads(docker("image", "inspect", found))[0]["RepoTags"] == [tag], "not the archive's own"
    assert store.ensure(parcel.pin, parcel.fetch) == found
    assert images(engine, tmp_path / "home").ensure(parcel.pin, parcel.fetch) == found
    assert parcel.fetches == ["once"]
    assert spooled(tmp_path / "home") == []
    assert recorded(tmp_path / "home")[0] == parcel.pin.config_digest


def test_all_is_taken_back(store: ImageStore, engine: Engine, parcel: Parcel, tmp_path: Path) -> None:
    found = store.ensure(parcel.pin, parcel.fetch)
    store.remove_all()
    assert engine.image_id(found) is None
    assert docker("images", "-q", f"dockercomp-{engine.instance}/*") == ""
    assert recorded(tmp_path / "home") == []
    store.remove_all()


def test_an_image_that_was_there_is_used_and_stays(
    store: ImageStore, engine: Engine, parcel: Parcel, tmp_path: Path
) -> None:
    (tmp_path / "again.tar").write_bytes(parcel.content)
    engine.load_image(tmp_path / "again.tar")
    assert store.ensure(parcel.pin, parcel.fetch) == engine.image_id(parcel.name)
    assert parcel.fetches == []
    store.remove_all()
    assert engine.image_id(parcel.name) is not None
    assert recorded(tmp_path / "home") == []


def test_a_tag_that_the_volunteer_gave_keeps_the_image(store: ImageStore, engine: Engine, parcel: Parcel) -> None:
    found = store.ensure(parcel.pin, parcel.fetch)
    engine.tag(found, *parcel.name.split(":"))
    store.remove_all()
    assert engine.image_id(parcel.name) == found


def test_two_slots_load_once(store: ImageStore, parcel: Parcel) -> None:
    found: list[str] = []
    slots = [threading.Thread(target=lambda: found.append(store.ensure(parcel.pin, parcel.fetch))) for _ in range(4)]
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join(60)
    assert len(found) == 4
    assert len(set(found)) == 1
    assert parcel.fetches == ["once"]


def other_config(content: bytes, tmp_path: Path) -> bytes:
    """The archive with another config, consistent in itself."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]
    [entry] = json.loads(files["manifest.json"])
    config = json.dumps({**json.loads(files.pop(entry["Config"])), "author": "mallory"}).encode()
    entry["Config"] = f"{hashlib.sha256(config).hexdigest()}.json"
    files |= {entry["Config"]: config, "manifest.json": json.dumps([entry]).encode()}
    return a_tar(tmp_path / "other.tar", files).read_bytes()


Change = Callable[[Parcel, Path], None]


def with_another_config(parcel: Parcel, tmp_path: Path) -> None:
    parcel.content = other_config(parcel.content, tmp_path)


def of_another_platform(parcel: Parcel, tmp_path: Path) -> None:
    parcel.pin = msgspec.structs.replace(parcel.pin, platform="linux/s390x")


def cut_off(parcel: Parcel, tmp_path: Path) -> None:
    parcel.content = parcel.content[:2000]


def unpinned(parcel: Parcel, tmp_path: Path) -> None:
    parcel.pin = msgspec.structs.replace(parcel.pin, config_digest="tiny:latest")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_another_config, "must be sha256:.* but the master sent sha256:"),
        (of_another_platform, "must be for linux/s390x, but the master sent one for"),
        (cut_off, "something else than the image tiny"),
        (unpinned, "not pinned"),
    ],
)
def test_what_is_refused_never_reaches_the_engine(
    store: ImageStore, engine: Engine, parcel: Parcel, tmp_path: Path, change: Change, message: str
) -> None:
    truth = parcel.pin.config_digest
    change(parcel, tmp_path)
    with pytest.raises(ImageRefused, match=message):
        store.ensure(parcel.pin, parcel.fetch)
    assert docker("images", "-q", f"dockercomp-{engine.instance}/*") == ""
    assert engine.image_id(truth) is None
    assert spooled(tmp_path / "home") == []
    assert not (tmp_path / "home" / "worker" / "images.json").exists()


def test_a_layer_that_was_changed_is_refused_by_the_engine_and_remembered(
    store: ImageStore, parcel: Parcel, tmp_path: Path
) -> None:
    with tarfile.open(fileobj=io.BytesIO(parcel.content)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]
    [layer] = json.loads(files["manifest.json"])[0]["Layers"]
    files[layer] = a_tar(tmp_path / "layer.tar", {"file": b"mallory"}).read_bytes()
    good, parcel.content = parcel.content, a_tar(tmp_path / "changed.tar", files).read_bytes()
    with pytest.raises(EngineError, match="could not load an image"):
        store.ensure(parcel.pin, parcel.fetch)
    assert recorded(tmp_path / "home") == [parcel.pin.config_digest], "written down before it was tried"
    parcel.content = good
    store.ensure(parcel.pin, parcel.fetch)


def test_a_master_that_is_lost_on_the_way(store: ImageStore, parcel: Parcel, tmp_path: Path) -> None:
    def fetch() -> Iterator[bytes]:
        yield parcel.content[:100]
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        store.ensure(parcel.pin, fetch)
    assert spooled(tmp_path / "home") == []
    store.ensure(parcel.pin, parcel.fetch)


def test_an_engine_that_forgot_the_image_gets_it_again(store: ImageStore, engine: Engine, parcel: Parcel) -> None:
    found = store.ensure(parcel.pin, parcel.fetch)
    docker("rmi", "-f", found)
    assert store.ensure(parcel.pin, parcel.fetch) == found
    assert parcel.fetches == ["once", "once"]


def test_an_engine_with_ids_of_its_own_is_asked_by_the_id_that_it_gave(
    store: ImageStore, engine: Engine, parcel: Parcel, tmp_path: Path
) -> None:
    """As with the containerd store, where an image cannot be found by its config's digest."""
    found, unknown = store.ensure(parcel.pin, parcel.fetch), "sha256:" + secrets.token_hex(32)
    file = tmp_path / "home" / "worker" / "images.json"
    file.write_text(file.read_text().replace(parcel.pin.config_digest, unknown))
    entries = json.loads(file.read_text())
    entries[unknown]["engine_id"] = found
    file.write_text(json.dumps(entries))
    again = images(engine, tmp_path / "home")
    pin = msgspec.structs.replace(parcel.pin, config_digest=unknown)
    assert again.ensure(pin, parcel.fetch) == found
    assert parcel.fetches == ["once"]


def test_images_that_no_job_needs_make_room_the_longest_unused_first(
    engine: Engine, tmp_path: Path, parcels: Callable[..., Parcel]
) -> None:
    store = images(engine, tmp_path / "home")
    disk = store._disk
    first, second, third = (parcels(200_000) for _ in range(3))
    for parcel in (first, second, first):
        store.ensure(parcel.pin, parcel.fetch)
    disk.measure()
    disk.limit = disk.used() + 500_000
    store.needed = lambda: {third.pin.config_digest}
    store.ensure(third.pin, third.fetch)
    there = [engine.image_id(parcel.pin.config_digest) is not None for parcel in (first, second, third)]
    assert there == [True, False, True]
    disk.measure()
    assert disk.used() <= disk.limit
    store.needed = lambda: {parcel.pin.config_digest for parcel in (first, second, third)}
    with pytest.raises(NoRoom, match="DC_DISK"):
        store.ensure(second.pin, second.fetch)
    assert spooled(tmp_path / "home") == [] and engine.image_id(second.pin.config_digest) is None
    store.remove_all()


def test_a_small_archive_that_unpacks_to_much_never_reaches_the_engine(
    engine: Engine, tmp_path: Path, parcel: Parcel
) -> None:
    store = images(engine, tmp_path / "home", 8 * 2**20)
    pin, content = a_bomb(parcel, 64 * 2**20)
    assert len(content) < 2**20
    with pytest.raises(NoRoom, match="DC_DISK"):
        store.ensure(pin, lambda: iter([content]))
    assert engine.image_id(pin.config_digest) is None and spooled(tmp_path / "home") == []


def a_bomb(parcel: Parcel, size: int) -> tuple[ImagePin, bytes]:
    """An archive as small as can be whose only layer unpacks to `size` bytes."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        member = tarfile.TarInfo("zeros")
        member.size = size
        tar.addfile(member, io.BytesIO(bytes(size)))
    config = json.dumps(
        {
            "os": "linux",
            "architecture": parcel.pin.platform.partition("/")[2],
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(inner.getvalue()).hexdigest()]},
        }
    ).encode()
    digest = hashlib.sha256(config).hexdigest()
    files = {
        f"{digest}.json": config,
        "layer.tar": gzip.compress(inner.getvalue()),
        "manifest.json": json.dumps([{"Config": f"{digest}.json", "RepoTags": None, "Layers": ["layer.tar"]}]).encode(),
    }
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return msgspec.structs.replace(parcel.pin, config_digest=f"sha256:{digest}"), whole.getvalue()
