"""`docker save` archives: which image one holds, and a copy that carries one tag of ours and nothing else.

Both the classic form and the OCI layout with a manifest.json (Docker Engine 25 and later) are read. Standard library
only. An archive comes from a stranger: sizes are bounded, and nothing is ever extracted to a path that it names.
"""

import gzip
import hashlib
import io
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

LARGEST_CONFIG = 8 * 2**20
LARGEST_MANIFEST = 2**20
MOST_MEMBERS = 100_000
_LARGEST_READ = 16 * 2**20
_MOST_LINKS = 8
_BLOCK = 4096
_COMPRESSED = {b"BZh": "bzip2", b"\xfd7z": "xz", b"(\xb5/": "zstd"}
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageArchiveError(ValueError):
    """The file is not a `docker save` archive of one image; the message says what is wrong with it."""


def archive_pin(path: Path) -> tuple[str, str]:
    """The config's digest (`sha256:` and 64 hex digits) and the platform (such as `linux/amd64`) of the one image.

    The digest is computed from the config's own bytes. Raises ImageArchiveError, and OSError where the file cannot be
    read.
    """
    with _opened(path) as archive:
        return archive.digest, archive.platform


def retag(source: Path, target: Path, tag: str) -> None:
    """Write to `target` the image of `source` with `tag` as its only name, so that loading it moves no other tag.

    The copy holds a new manifest.json, the config and the layers, and nothing else: an engine that would rather read
    an index.json or `repositories` finds none. Raises as `archive_pin`; `target` is removed on an error.
    """
    with _opened(source) as archive:
        try:
            with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as copy:
                _write(archive, copy, tag)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def unpacked(path: Path, grow: Callable[[int], None]) -> int:
    """The bytes that the image takes once an engine has unpacked it, counted without unpacking it anywhere.

    `grow` is told of each file's share as it is found, and may raise: a small archive can hold any amount. Raises as
    `archive_pin`, and for layers that are compressed otherwise than by gzip, which cannot be counted here.
    """
    size = 0
    with _opened(path) as archive:
        for layer in archive.layers:
            for part in _sound(_unpacked_layer(archive.tar, layer)):
                grow(part)
                size += part
    return size


def _sound(sizes: Iterator[int]) -> Iterator[int]:
    """Raises ImageArchiveError for a layer whose compression is damaged."""
    try:
        yield from sizes
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ImageArchiveError(f"a layer is damaged: {error}") from error


def _unpacked_layer(tar: tarfile.TarFile, layer: tarfile.TarInfo) -> Iterator[int]:
    """What each member takes on a disk, in whole blocks; a sparse one its whole length, since engines write that."""
    content = _content(tar, layer)
    magic = content.read(3)
    content.seek(0)
    if magic in _COMPRESSED:
        raise ImageArchiveError(f"a layer is compressed with {_COMPRESSED[magic]}; only gzip is understood here")
    inner = _BoundedGzip(fileobj=content) if magic[:2] == b"\x1f\x8b" else content
    with tarfile.open(fileobj=inner, mode="r:") as members:
        while (member := members.next()) is not None:
            members.members.clear()  # type: ignore[attr-defined]  # else it keeps all of them
            yield -(-member.size // _BLOCK) * _BLOCK + _BLOCK


@dataclass(frozen=True)
class _Archive:
    """An open archive of one image."""

    tar: tarfile.TarFile
    config: bytes
    platform: str
    layers: list[tarfile.TarInfo]

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.config).hexdigest()


def _write(archive: _Archive, copy: tarfile.TarFile, tag: str) -> None:
    config, layers = f"{archive.digest.removeprefix('sha256:')}.json", []
    _add(copy, config, len(archive.config), io.BytesIO(archive.config))
    for number, layer in enumerate(archive.layers):
        name = f"{number}/layer.tar"
        _add(copy, name, layer.size, _content(archive.tar, layer))
        layers.append(name)
    manifest = json.dumps([{"Config": config, "RepoTags": [tag], "Layers": layers}]).encode()
    _add(copy, "manifest.json", len(manifest), io.BytesIO(manifest))


def _add(copy: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    copy.addfile(member, content)


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    with _Bounded(io.FileIO(path)) as file:
        if file.read(2) == b"\x1f\x8b":
            raise ImageArchiveError("the archive is compressed; give it as `docker save` writes it")
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield _read(tar)
        except ImageArchiveError:
            raise
        except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError) as error:
            raise ImageArchiveError(
                f"not a `docker save` archive, or cut off: {error or type(error).__name__}"
            ) from error


class _Bounded(io.BufferedReader):
    """The file, except that no header makes tarfile read more than a bounded length into memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_READ:
            raise ImageArchiveError("the archive has an oversized header")
        return super().read(size)


class _BoundedGzip(gzip.GzipFile):
    """The same for what is decompressed on the way."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_READ:
            raise ImageArchiveError("a layer has an oversized header")
        return super().read(size)


def _read(tar: tarfile.TarFile) -> _Archive:
    members = _members(tar)
    manifest = _manifest(tar, members)
    member = _find(members, manifest["Config"])
    if member.size > LARGEST_CONFIG:
        raise ImageArchiveError(f"the image's config is over {LARGEST_CONFIG // 2**20} MiB")
    config = _content(tar, member).read(member.size)
    stem = PurePosixPath(manifest["Config"]).name.removesuffix(".json")
    if _DIGEST.fullmatch(stem) and stem != hashlib.sha256(config).hexdigest():
        raise ImageArchiveError("the image's config is damaged: its SHA-256 is not the one in its name")
    platform, layers = _described(config)
    if layers != len(manifest["Layers"]):
        raise ImageArchiveError(f"the image's config names {layers} layers, manifest.json {len(manifest['Layers'])}")
    return _Archive(tar, config, platform, [_find(members, name) for name in manifest["Layers"]])


def _members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """The members by normalised name. Raises ImageArchiveError where one does not belong into such an archive."""
    found: dict[str, tarfile.TarInfo] = {}
    for member in tar:
        name = _inside(member.name)
        if member.isdir():
            continue
        if not (member.isreg() or member.issym() or member.islnk()) or member.issparse():
            raise ImageArchiveError(f"{member.name!r} is neither a file nor a folder nor a link")
        if name in found:
            raise ImageArchiveError(f"{member.name!r} is there twice")
        if len(found) >= MOST_MEMBERS:
            raise ImageArchiveError(f"the archive has over {MOST_MEMBERS} files")
        found[name] = member
        _target(member)
    return found


def _inside(name: str) -> str:
    """`name` normalised. Raises ImageArchiveError where it leads out of the archive."""
    path = posixpath.normpath(name)
    if path.startswith("/") or path == ".." or path.startswith("../"):
        raise ImageArchiveError(f"{name!r} leads out of the archive")
    return path


def _target(member: tarfile.TarInfo) -> str | None:
    """The name that a link stands for; None where the member is no link."""
    if member.issym():
        return _inside(posixpath.join(posixpath.dirname(posixpath.normpath(member.name)), member.linkname))
    return _inside(member.linkname) if member.islnk() else None


def _find(members: dict[str, tarfile.TarInfo], name: object) -> tarfile.TarInfo:
    """The file of that name, through links. Raises ImageArchiveError."""
    wanted: object = _inside(name) if isinstance(name, str) else name
    for _ in range(_MOST_LINKS):
        member = members.get(wanted) if isinstance(wanted, str) else None
        if member is None:
            break
        wanted = _target(member)
        if wanted is None:
            return member
    raise ImageArchiveError(f"manifest.json names {name!r}, which is not in the archive")


def _manifest(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> dict[str, Any]:
    """The one entry of manifest.json, with Config and Layers of the right types."""
    member = members.get("manifest.json")
    if member is None or not member.isreg():
        raise ImageArchiveError("not a `docker save` archive: it has no manifest.json")
    if member.size > LARGEST_MANIFEST:
        raise ImageArchiveError("its manifest.json is oversized")
    entries = json.loads(_content(tar, member).read(member.size))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ImageArchiveError("its manifest.json is not a list of images")
    if len(entries) != 1:
        raise ImageArchiveError(f"the archive holds {len(entries)} images; save exactly one, by its name and tag")
    entry: dict[str, Any] = entries[0]
    layers = entry.get("Layers") or []
    if not isinstance(entry.get("Config"), str) or not isinstance(layers, list):
        raise ImageArchiveError("its manifest.json names no config or no layers")
    return {"Config": entry["Config"], "Layers": layers}


def _described(config: bytes) -> tuple[str, int]:
    """The platform and the number of layers of an image's config. Variants (arm/v7) count as their architecture."""
    image = json.loads(config)
    if not isinstance(image, dict) or not all(isinstance(image.get(key), str) for key in ("os", "architecture")):
        raise ImageArchiveError("the image's config names no platform")
    rootfs = image.get("rootfs")
    layers = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(layers, list) and layers is not None:
        raise ImageArchiveError("the image's config names no layers")
    return f"{image['os']}/{image['architecture']}", len(layers or [])


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise ImageArchiveError(f"{member.name!r} is not a file")
    return content
