"""Duty: who may have how much more."""

from dockercomp.protocol.errors import NotFound, QuotaExceeded
from dockercomp.protocol.quotas import Amounts, QuotaChange, QuotaView
from server import quotas
from server.store import Store


class Allowances:
    """Admins have no bounds but those that an admin gave them. What several of one person's programs ask for at the
    same moment is judged one by one, each without the others: it may come to a little more."""

    def __init__(self, store: Store, default: Amounts) -> None:
        self._store = store
        self._default = default

    def quota(self, person: str) -> Amounts:
        user = self._store.users.by_name(person)
        default = Amounts() if user and user["role"] == "admin" else self._default
        return quotas.of_person(default, self._store.holdings.own_quota(person))

    def view(self, person: str) -> QuotaView:
        """Raises NotFound where there is nobody of this name."""
        if self._store.users.by_name(person) is None:
            raise NotFound(f"there is nobody of the name {person}")
        own = QuotaChange(**self._store.holdings.own_quota(person))
        return QuotaView(person=person, quota=self.quota(person), use=self._store.holdings.of(person), own=own)

    def give(self, person: str, change: QuotaChange) -> QuotaView:
        """Raises NotFound where there is nobody of this name."""
        self.view(person)
        named = {name: getattr(change, name) for name in change.__struct_fields__}
        self._store.holdings.give_quota(person, {name: most for name, most in named.items() if most is not None})
        return self.view(person)

    def check_job(self, person: str, idempotency_key: str) -> None:
        """Before a submission; one that is repeated needs nothing more. Raises QuotaExceeded."""
        quota = self.quota(person)
        if (quota.jobs or quota.stored) and not self._store.jobs.submitted(person, idempotency_key):
            self._refuse(quotas.refusal("jobs", quota.jobs, self._store.jobs.count_running(person)))
            self._refuse(quotas.refusal("stored", quota.stored, self._store.holdings.stored(person), 0))

    def check_image(self, person: str, image: str) -> None:
        """Before an image is stored under the id `image`. Raises QuotaExceeded."""
        quota = self.quota(person)
        if quota.images:
            others = self._store.images.others_of(person, image)
            self._refuse(quotas.refusal("images", quota.images, others))

    def begin_upload(self, person: str, digest: str, size: int) -> None:
        """Before each part of an upload, which counts from its first on with the largest size that was named for it.
        Raises QuotaExceeded."""
        held = self._store.holdings.size(person, digest)
        if held is not None and size <= held:
            return
        quota = self.quota(person)
        if quota.stored:
            more = size - (held or 0)
            self._refuse(quotas.refusal("stored", quota.stored, self._store.holdings.stored(person), more))
        self._store.holdings.hold(person, digest, size)

    def _refuse(self, reason: str) -> None:
        if reason:
            raise QuotaExceeded(reason)
