"""Gets text out of Debian's packages: python fetch.py CACHE_DIR [--more] prints the path of the text.

The sayings of `fortunes`, 2 MB; with --more the dictionary of `dict-gcide` (Webster's of 1913 with additions), 39 MB.
The packages come from DC_DEBIAN_MIRROR, else http://deb.debian.org/debian, checked by SHA-256. Standard library only.
Nothing is fetched where CACHE_DIR has it already.
"""

import gzip
import hashlib
import io
import lzma
import os
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

MIRROR = os.environ.get("DC_DEBIAN_MIRROR", "http://deb.debian.org/debian")
SAYINGS = (
    "pool/main/f/fortune-mod/fortunes_1.99.1-7.3_all.deb",
    "41d0551dc0ff52f875a2ecef7c39da2f672ab468c37e170119f7e0245a9d63c5",
)
DICTIONARY = (
    "pool/main/d/dict-gcide/dict-gcide_0.48.5+nmu2_all.deb",
    "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
)


class FetchError(Exception):
    """The text could not be had; says why."""


def package(name: str, sha256: str) -> bytes:
    """A package of the mirror, checked. Raises FetchError."""
    url = f"{MIRROR}/{name}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data: bytes = answer.read()
    except OSError as error:
        raise FetchError(f"{url} could not be fetched: {error}; DC_DEBIAN_MIRROR names another mirror") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FetchError(f"{url} is not the file that was expected: its SHA-256 differs")
    return data


def files(deb: bytes, wanted: Callable[[str], bool]) -> bytes:
    """The wanted files of a package one after the other, in the order of their names.

    A package is an `ar` archive (60 bytes of header a member: name 16, …, size at 48) that holds data.tar.xz.
    """
    at = 8
    while not deb[at : at + 16].startswith(b"data.tar.xz"):
        at += 60 + int(deb[at + 48 : at + 58]) + int(deb[at + 48 : at + 58]) % 2
    data = lzma.decompress(deb[at + 60 : at + 60 + int(deb[at + 48 : at + 58])])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = sorted((entry for entry in archive if entry.isfile() and wanted(entry.name)), key=lambda e: e.name)
        return b"".join(archive.extractfile(entry).read() for entry in found)  # type: ignore[union-attr]


def sayings() -> bytes:
    return files(package(*SAYINGS), lambda name: "/games/fortunes/" in name and not name.endswith((".dat", ".u8")))


def dictionary() -> bytes:
    return gzip.decompress(files(package(*DICTIONARY), lambda name: name.endswith(".dict.dz")))


def fetch(cache: Path, *, more: bool = False) -> Path:
    """The path of the text in `cache`. Raises FetchError."""
    path = cache / ("dictionary.txt" if more else "sayings.txt")
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(dictionary() if more else sayings())
        part.replace(path)
    return path


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--more"]
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(fetch(Path(arguments[0]), more="--more" in sys.argv))
    except (FetchError, OSError) as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
