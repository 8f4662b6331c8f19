"""What removal takes out of a real Docker Engine, and what it leaves there."""

import io
import json
import secrets
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockercomp.machine import manifest
from dockercomp.machine.docker_host import find
from dockercomp.machine.docker_objects import LABEL, remove_objects
from dockercomp.machine.home import instance_label
from dockercomp.machine.removal import MARKER, Removal


def docker(*arguments: str, **more: object) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, **more)  # type: ignore[call-overload]
    return str(done.stdout.decode().strip())


class Engine:
    """Makes tiny things in the engine and knows which are left."""

    def __init__(self, label: str) -> None:
        self.label, self.unique = label, secrets.token_hex(6)
        self.foreign = f"foreign-{self.unique}/image:1"
        self.made: list[tuple[str, ...]] = []

    def image(self, tag: str, content: str = "") -> str:
        """A new image with this tag; returns its id."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            data = (content or secrets.token_hex(8)).encode()
            entry = tarfile.TarInfo("content")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        image = docker("import", "-", tag, input=packed.getvalue())
        self.made.append(("image", "rm", "--force", image))
        return image

    def container(self, image: str, *options: str) -> str:
        container = docker("create", *options, image, "/content")
        self.made.append(("rm", "--force", container))
        return container

    def volume(self, *options: str) -> str:
        volume = docker("volume", "create", *options)
        self.made.append(("volume", "rm", "--force", volume))
        return volume

    def has(self, kind: str, name: str) -> bool:
        return subprocess.run(["docker", kind, "inspect", name], check=False, capture_output=True).returncode == 0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(instance_label(tmp_path / "home"))
    yield made
    for words in reversed(made.made):
        subprocess.run(["docker", *words], check=False, capture_output=True)


def act(_what: str, _there: object, do: Callable[[], object]) -> None:
    do()


def test_only_what_is_of_this_instance_goes(engine: Engine, tmp_path: Path) -> None:
    image = engine.image(engine.foreign)
    ours = engine.container(image, "--label", f"{LABEL}={engine.label}")
    others = engine.container(image, "--label", f"{LABEL}=000000000000")
    plain = engine.container(image)
    volume, foreign_volume = engine.volume("--label", f"{LABEL}={engine.label}"), engine.volume()
    remove_objects(find(tmp_path), engine.label, [], act)
    assert not engine.has("container", ours)
    assert not engine.has("volume", volume)
    assert engine.has("container", others)
    assert engine.has("container", plain)
    assert engine.has("volume", foreign_volume)
    assert engine.has("image", engine.foreign)


def test_images_go_by_our_tags_and_stay_where_someone_has_tagged_them(engine: Engine, tmp_path: Path) -> None:
    alone = engine.image(f"dockercomp-{engine.label}/abc:latest")
    shared = engine.image(f"dockercomp-{engine.label}/def:latest")
    docker("tag", shared, engine.foreign)
    recorded, foreign = engine.image(f"built-{engine.unique}:latest"), engine.image(f"theirs-{engine.unique}:latest")
    remove_objects(find(tmp_path), engine.label, [f"built-{engine.unique}:latest", foreign], act)
    assert not engine.has("image", alone)
    assert not engine.has("image", recorded)
    assert json.loads(docker("image", "inspect", shared))[0]["RepoTags"] == [engine.foreign]
    assert engine.has("image", foreign), "an id of ours that someone has tagged is someone's"


def test_an_instance_is_taken_back_with_its_demos_workers(engine: Engine, tmp_path: Path) -> None:
    home, inner = tmp_path / "home", tmp_path / "home" / "demo" / "worker-1"
    inner.mkdir(parents=True)
    (home / MARKER).touch()
    image = engine.image(f"dockercomp-{instance_label(inner)}/abc:latest")
    manifest.record(inner, "image", image)
    running = engine.container(image, "--label", f"{LABEL}={instance_label(inner)}")
    removal = Removal(home, lambda _: None)
    removal.run()
    assert removal.problems == []
    assert not engine.has("container", running)
    assert not engine.has("image", image)
    assert not home.exists()
