"""Reading what was stored, wherever it lies: a result is a payload in MongoDB or a blob."""

from server.manifests import Manifest

from .blobs import BlobReader, BlobStore
from .payloads import Payloads

_GROUP = 10_000


class Concatenation:
    """The results of a manifest one after the other, read at any place with flat memory. A BlobReader."""

    def __init__(self, payloads: Payloads, blobs: BlobStore, manifest: Manifest) -> None:
        self._payloads = payloads
        self._blobs = blobs
        self._manifest = manifest
        self.size = manifest.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Raises NotFound where a result is neither a payload nor a blob."""
        slices = self._manifest.slices(offset, min(offset + length, self.size))
        digests = sorted({piece.digest for piece in slices})
        small: dict[str, bytes] = {}
        for start in range(0, len(digests), _GROUP):  # a query is a document too, and bounded like one
            small |= self._payloads.get(digests[start : start + _GROUP])
        parts = []
        for piece in slices:
            if piece.digest in small:
                parts.append(small[piece.digest][piece.start : piece.stop])
            else:
                parts.append(self._blobs.open(piece.digest).read_at(piece.start, piece.stop - piece.start))
        return b"".join(parts)


def read_all(reader: BlobReader) -> bytes:
    """A whole small blob, such as a manifest."""
    return reader.read_at(0, reader.size)
