"""What an extent of an input is read from: something stored, the results of a job, or a URL."""

from functools import lru_cache

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.remote import RemoteReader
from server.manifests import Manifest
from server.store import Store
from server.store.blobs import BlobReader
from server.store.contents import Concatenation, Held, Window, read_all
from server.tables import Extent, Table


class Sources:
    """Opens extents. Keeps only immutable, content-addressed things between calls."""

    def __init__(self, store: Store, *, private_urls: bool = False) -> None:
        self._store = store
        self._private_urls = private_urls
        self._manifest = lru_cache(maxsize=8)(self._read_manifest)
        self._table = lru_cache(maxsize=32)(self._open_table)

    def open(self, extent: Extent) -> BlobReader:
        """Raises NotFound where what it names is gone, and what reading a URL raises."""
        if extent.kind == "url":
            return RemoteReader(extent.label.url, extent.size, extent.label.etag, private=self._private_urls)
        reader = self.results(extent.digest) if extent.kind == "results" else self.stored(extent.digest)
        return Window(reader, extent.offset, extent.size)

    def stored(self, digest: str) -> BlobReader:
        """A blob or payload. Raises NotFound."""
        if self._store.blobs.has(digest):
            return self._store.blobs.open(digest)
        found = self._store.payloads.get([digest])
        if digest not in found:
            raise NotFound(f"nothing with the digest {digest} is stored any more")
        return Held(found[digest])

    def reopening(self, digest: str, size: int) -> BlobReader:
        """The same, opened anew for each read: of very many none keeps a file open, nor a payload in memory."""
        return _Reopened(self, digest, size)

    def table(self, digest: str) -> Table:
        return self._table(digest)

    def rows(self, table: Table) -> Concatenation:
        """The extents of a table one after the other, where all of them are stored things."""
        return Concatenation(self._store.payloads, self._store.blobs, table)

    def manifest(self, digest: str) -> Manifest:
        return self._manifest(digest)

    def results(self, manifest_digest: str) -> Concatenation:
        """The concatenation of a stage's results."""
        return Concatenation(self._store.payloads, self._store.blobs, self.manifest(manifest_digest))

    def _read_manifest(self, digest: str) -> Manifest:
        return Manifest(read_all(self._store.blobs.open(digest)))

    def _open_table(self, digest: str) -> Table:
        return Table(self._store.blobs.open(digest))


class _Reopened:
    def __init__(self, sources: Sources, digest: str, size: int) -> None:
        self._sources = sources
        self._digest = digest
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        return self._sources.stored(self._digest).read_at(offset, length)
