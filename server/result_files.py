"""The files of a result of bundles: listed once, when the job is complete, under names that are unique.

A name that only one chunk has is kept; one that several have, or that is a folder of another's files, is put below the
index of each: `000000012/out.txt`.
"""

import re
from collections.abc import Iterator

from dockercomp.protocol.bundle import folders_of
from server.manifests import Manifest
from server.sections import directories
from server.store import Store
from server.tables import Extent, Label, parts

_LIKE_BELOW = re.compile(r"[0-9]{9,}/")


def make(store: Store, manifest: Manifest) -> tuple[str, int]:
    """Store the table of all files; its digest, and how many they are. Raises BadBundle, naming the chunk."""
    shared = _shared(store, manifest)
    count = 0

    def extents() -> Iterator[Extent]:
        nonlocal count
        for index, digest, found in directories(store, manifest):
            for entry in found:
                count += 1
                kept = hash(entry.name) not in shared and not _LIKE_BELOW.match(entry.name)
                yield Extent(digest, entry.size, Label(entry.name if kept else below(index, entry.name)), entry.offset)

    return store.blobs.put_stream(parts(extents())), count


def below(index: int, name: str) -> str:
    """A file of a chunk under a name that no other chunk's file has."""
    return f"{index:09d}/{name}"


def _shared(store: Store, manifest: Manifest) -> set[int]:
    """Hashes of the names that are not one file's alone; the names of a million files would take too much memory."""
    seen: set[int] = set()
    folders: set[int] = set()
    shared: set[int] = set()
    for _, _, found in directories(store, manifest):
        for entry in found:
            key = hash(entry.name)
            (shared if key in seen else seen).add(key)
            folders.update(map(hash, folders_of(entry.name)))
    return shared | (seen & folders)
