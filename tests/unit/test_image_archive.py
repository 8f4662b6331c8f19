"""`docker save` archives of every form, good and bad."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockercomp.machine import image_archive
from dockercomp.machine.image_archive import ImageArchiveError, archive_pin, retag

LAYER = b"layer" * 1000
CONFIG = json.dumps(
    {"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}}
).encode()
HEX = hashlib.sha256(CONFIG).hexdigest()
LAYER_HEX = hashlib.sha256(LAYER).hexdigest()
PIN = (f"sha256:{HEX}", "linux/arm64")
TAG = "dockercomp-test/abc:latest"

Members = list[tuple[tarfile.TarInfo, bytes]]


def a_file(name: str, content: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def a_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def manifest_of(config: str, *layers: str, **more: Any) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": ["debian:latest"], "Layers": list(layers), **more}]).encode()


def classic(config: bytes = CONFIG, name: str = f"{HEX}.json") -> Members:
    return [
        a_file("a/VERSION", b"1.0"),
        a_file("a/layer.tar", LAYER),
        a_file(name, config),
        a_file("manifest.json", manifest_of(name, "a/layer.tar")),
        a_file("repositories", b'{"debian":{"latest":"a"}}'),
    ]


def oci() -> Members:
    config, layer = f"blobs/sha256/{HEX}", f"blobs/sha256/{LAYER_HEX}"
    annotation = {"io.containerd.image.name": "docker.io/library/debian:latest"}
    folder = tarfile.TarInfo("blobs/sha256/")
    folder.type = tarfile.DIRTYPE
    return [
        (folder, b""),
        a_file(config, CONFIG),
        a_file(layer, LAYER),
        a_file("index.json", json.dumps({"manifests": [{"annotations": annotation}]}).encode()),
        a_file("manifest.json", manifest_of(config, layer, LayerSources={})),
        a_file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
    ]


@pytest.fixture
def pack(tmp_path: Path) -> Callable[[Members], Path]:
    def packed(members: Members) -> Path:
        path = tmp_path / "image.tar"
        with tarfile.open(path, "w") as tar:
            for member, content in members:
                tar.addfile(member, io.BytesIO(content))
        return path

    return packed


Pack = Callable[[Members], Path]


@pytest.mark.parametrize("members", [classic(), oci()], ids=["classic", "oci"])
def test_the_pin_is_the_configs_digest_and_platform(pack: Pack, members: Members) -> None:
    assert archive_pin(pack(members)) == PIN


def test_a_configs_name_need_not_be_a_digest(pack: Pack) -> None:
    assert archive_pin(pack(classic(name="config.json"))) == PIN


@pytest.mark.parametrize("members", [classic(), oci()], ids=["classic", "oci"])
def test_the_retagged_copy_names_nothing_but_our_tag(pack: Pack, members: Members, tmp_path: Path) -> None:
    target = tmp_path / "copy.tar"
    retag(pack(members), target, TAG)
    assert archive_pin(target) == PIN
    with tarfile.open(target) as tar:
        contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    [entry] = json.loads(contents.pop("manifest.json"))
    assert entry == {"Config": f"{HEX}.json", "RepoTags": [TAG], "Layers": ["0/layer.tar"]}
    assert contents == {f"{HEX}.json": CONFIG, "0/layer.tar": LAYER}, "no repositories, no index.json"


@pytest.mark.parametrize(
    "link", [a_link("a/layer.tar", "../b/layer.tar"), a_link("a/layer.tar", "b/layer.tar", tarfile.LNKTYPE)]
)
def test_layers_that_are_links_become_files(pack: Pack, tmp_path: Path, link: tuple[tarfile.TarInfo, bytes]) -> None:
    members = [a_file("b/layer.tar", LAYER), link, *(found for found in classic() if found[0].name != "a/layer.tar")]
    retag(pack(members), tmp_path / "copy.tar", TAG)
    with tarfile.open(tmp_path / "copy.tar") as tar:
        layer = tar.getmember("0/layer.tar")
        assert layer.isreg()
        assert tar.extractfile(layer).read() == LAYER  # type: ignore[union-attr]


def without(name: str) -> Members:
    return [found for found in classic() if found[0].name != name]


def with_manifest(content: bytes) -> Members:
    return [*without("manifest.json"), a_file("manifest.json", content)]


def a_device() -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo("dev")
    member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 3
    return member, b""


def two_images() -> bytes:
    return json.dumps(json.loads(manifest_of(f"{HEX}.json", "a/layer.tar")) * 2).encode()


BAD = {
    "no manifest.json": (without("manifest.json"), "no manifest.json"),
    "manifest.json is no JSON": (with_manifest(b"{"), "not a `docker save` archive"),
    "manifest.json is no list": (with_manifest(b"{}"), "not a list"),
    "two images": (with_manifest(two_images()), "2 images; save exactly one"),
    "no image": (with_manifest(b"[]"), "0 images"),
    "no config": (with_manifest(b"[{}]"), "names no config"),
    "config is missing": (without(f"{HEX}.json"), "not in the archive"),
    "layer is missing": (without("a/layer.tar"), "not in the archive"),
    "layer has no name": (with_manifest(manifest_of(f"{HEX}.json", 7)), "not in the archive"),  # type: ignore[arg-type]
    "too few layers": (with_manifest(manifest_of(f"{HEX}.json")), "names 1 layers, manifest.json 0"),
    "config under another digest": (classic(config=CONFIG + b" "), "not the one in its name"),
    "config without a platform": (classic(config=b"{}", name="c.json"), "no platform"),
    "config is no JSON": (classic(config=b"\xff", name="c.json"), "not a `docker save` archive"),
    "config is deep": (classic(config=b"[" * 100_000, name="c.json"), "not a `docker save` archive"),
    "config leads out": (with_manifest(manifest_of("../config.json", "a/layer.tar")), "leads out"),
    "absolute name": ([*classic(), a_file("/etc/passwd", b"x")], "leads out"),
    "name above": ([*classic(), a_file("a/../../x", b"x")], "leads out"),
    "link leads out": ([*classic(), a_link("b/link", "../../x")], "leads out"),
    "absolute link": ([*classic(), a_link("link", "/etc/passwd")], "leads out"),
    "hard link leads out": ([*classic(), a_link("link", "../x", tarfile.LNKTYPE)], "leads out"),
    "a device": ([*classic(), a_device()], "neither a file"),
    "a name twice": ([*classic(), a_file(f"./{HEX}.json", b"{}")], "there twice"),
    "links in a circle": ([*without("a/layer.tar"), a_link("a/layer.tar", "layer.tar")], "not in the archive"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(pack: Pack, name: str, tmp_path: Path) -> None:
    members, message = BAD[name]
    path = pack(members)
    with pytest.raises(ImageArchiveError, match=message):
        archive_pin(path)
    with pytest.raises(ImageArchiveError, match=message):
        retag(path, tmp_path / "copy.tar", TAG)
    assert not (tmp_path / "copy.tar").exists()


def test_bounds(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(classic())
    for name, bound, message in (
        ("LARGEST_CONFIG", len(CONFIG) - 1, "config is over"),
        ("LARGEST_MANIFEST", 10, "manifest.json is oversized"),
        ("MOST_MEMBERS", 4, "over 4 files"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(image_archive, name, bound)
            with pytest.raises(ImageArchiveError, match=message):
                archive_pin(path)


def test_an_extended_header_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**40
    path = tmp_path / "image.tar"
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**20)
    with pytest.raises(ImageArchiveError, match="oversized header"):
        archive_pin(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a `docker save` archive"),
        (b"hello" * 1000, "not a `docker save` archive"),
        (b"\x1f\x8b" + b"0" * 1000, "compressed"),
        (b"\0" * 10240, "no manifest.json"),
    ],
)
def test_not_a_tar(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(ImageArchiveError, match=message):
        archive_pin(path)


@pytest.mark.parametrize("kept", [300, 700, 6000, 8000])
def test_cut_off(pack: Pack, kept: int) -> None:
    path = pack(classic())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImageArchiveError):
        archive_pin(path)


def test_a_layer_that_is_cut_off(pack: Pack, tmp_path: Path) -> None:
    members = classic()
    path = pack([*members[2:], members[1]])
    path.write_bytes(path.read_bytes()[: 512 * 2 + 512 * 2 + 512 * 2 + 512 + 2000])
    with pytest.raises(ImageArchiveError):
        retag(path, tmp_path / "copy.tar", TAG)
    assert not (tmp_path / "copy.tar").exists()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        archive_pin(tmp_path / "nothing.tar")
