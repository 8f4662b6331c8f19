"""Files as one tar, streamed: flat memory, whatever their size. Pure but for what is read."""

import tarfile
from collections.abc import Iterable, Iterator

from server.store.blobs import BlobReader, stream


def tar(files: Iterable[tuple[str, BlobReader]], *, modified: int) -> Iterator[bytes]:
    """A POSIX (pax) archive of (name, content); `modified` is the time of all of them, in seconds since 1970."""
    for name, reader in files:
        head = tarfile.TarInfo(name)
        head.size, head.mtime, head.mode = reader.size, modified, 0o644
        yield head.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        yield from stream(reader)
        yield bytes(-reader.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
