"""Duty: who has shown to have the bytes of an upload.

Digests are no secrets, receipts publish them. Whoever names one must have sent what it stands for, to the last byte,
also where the master has it from another: so no digest opens others' data.
"""

from collections.abc import Callable, Sequence

from dockercomp.protocol.views import BlobStatus
from server.store import Store

Holds = Callable[[str], bool]
"""Whether somebody has shown to have the blob with this digest, and it is here."""


class Possession:
    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, person: str) -> Holds:
        return lambda digest: self.holds(person, digest)

    def holds(self, person: str, digest: str) -> bool:
        """Makes what is here young again, as BlobStore.has does."""
        return not self.missing(person, [digest])

    def missing(self, person: str, digests: Sequence[str]) -> list[str]:
        """Those of these blobs that this person has to send (to the end). One round trip."""
        blobs, shown = self._store.blobs, self._store.holdings.shown(person, digests)
        return [each for each in digests if not blobs.has(each) or shown.get(each, -1) < blobs.received(each)]

    def status(self, person: str, digest: str) -> BlobStatus:
        """From where on this person has to send it. What another sends at the same time is not sent twice, until it is
        whole; then each shows the rest."""
        blobs = self._store.blobs
        if not blobs.has(digest):
            return BlobStatus(digest=digest, offset=blobs.received(digest), complete=False)
        shown = self._store.holdings.shown(person, [digest]).get(digest, -1)
        return BlobStatus(digest=digest, offset=max(0, shown), complete=shown >= blobs.received(digest))

    def take(self, person: str, digest: str, offset: int, size: int, data: bytes) -> BlobStatus:
        """Take in a part of an upload; where its bytes are here already, compare them. Raises as BlobStore.append."""
        blobs = self._store.blobs
        received = blobs.append(digest, offset, size, data)
        if received >= offset + len(data) and blobs.same(digest, offset, data):
            self._store.holdings.show(person, digest, offset, offset + len(data))
        return self.status(person, digest)
