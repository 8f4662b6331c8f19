"""What each reducer gets of the map's results where these are bundles: listed once, when the map is complete."""

from array import array
from collections.abc import Iterator, Sequence

from dockercomp.protocol import bundle
from dockercomp.protocol.bundle import BadBundle
from dockercomp.protocol.orders import JobSpec
from dockercomp.protocol.patterns import matches
from server import plan
from server.manifests import Manifest
from server.store import Store
from server.store.contents import Held
from server.tables import Extent, Label, parts

_GROUP = 500
_ROWS_AT_ONCE = 2_000_000
"""Rows held in memory while tables are made: 24 bytes each, and the names of files."""


class Sections:
    def __init__(self, store: Store) -> None:
        self._store = store

    def make(self, spec: JobSpec, manifest: Manifest) -> str:
        """Store a table for each reducer, and the list of their digests, 32 bytes each, whose digest is returned.

        Raises BadBundle, naming the chunk, where a result is none."""
        reducers = plan.sections(spec)
        at_once = max(1, _ROWS_AT_ONCE // max(1, len(manifest)))
        digests: list[bytes] = []
        for first in range(0, reducers, at_once):
            chosen = range(first, min(first + at_once, reducers))
            rows = [_Rows(manifest) for _ in chosen]
            for index, _, found in directories(self._store, manifest):
                if not spec.map.outputs and len(found) != reducers:
                    raise BadBundle(f"the result of chunk {index} has {len(found)} sections, not {reducers}")
                for number, entry in _shared_out(spec.map.outputs, found):
                    if number in chosen:
                        rows[number - first].add(index, entry, entry.name if spec.map.outputs else None)
            digests += [bytes.fromhex(self._store.blobs.put_stream(parts(each.extents()))) for each in rows]
        return self._store.blobs.put(b"".join(digests))


class _Rows:
    """What one reducer gets, packed: there may be very many."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._places = array("Q")
        self._names: list[str] = []

    def add(self, index: int, entry: bundle.Entry, name: str | None) -> None:
        self._places.extend((index, entry.offset, entry.size))
        if name is not None:
            self._names.append(name)

    def extents(self) -> Iterator[Extent]:
        places = iter(self._places)
        for number, (index, offset, size) in enumerate(zip(places, places, places, strict=True)):
            name = f"{index:09d}/{self._names[number]}" if self._names else f"{index:09d}"
            yield Extent(self._manifest.entry(index)[0], size, Label(name), offset)


def directories(store: Store, manifest: Manifest) -> Iterator[tuple[int, str, list[bundle.Entry]]]:
    """(index, digest, entries) of every result of a stage that makes bundles. Raises BadBundle, naming the chunk."""
    for start in range(0, len(manifest), _GROUP):
        digests = [manifest.entry(n)[0] for n in range(start, min(start + _GROUP, len(manifest)))]
        small = store.payloads.get(set(digests))
        for index, digest in enumerate(digests, start):
            reader = Held(small[digest]) if digest in small else store.blobs.open(digest)
            try:
                before_data = reader.read_at(0, bundle.directory_size(reader.read_at(0, bundle.HEAD)))
                found = bundle.entries(before_data)
            except BadBundle as error:
                raise BadBundle(f"the result of chunk {index} is no bundle: {error}") from error
            if bundle.size_of(found, len(before_data)) != reader.size:
                raise BadBundle(f"the result of chunk {index} is cut off")
            yield index, digest, found


def _shared_out(patterns: Sequence[str], found: Sequence[bundle.Entry]) -> Iterator[tuple[int, bundle.Entry]]:
    """(reducer, entry): by the first pattern that an entry's path matches, else by its place."""
    for number, entry in enumerate(found):
        if not patterns:
            yield number, entry
            continue
        reducer = next((n for n, pattern in enumerate(patterns) if matches(pattern, entry.name)), None)
        if reducer is not None:
            yield reducer, entry
