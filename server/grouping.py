"""Duty: groups of clients: who belongs to them, and what they give their members."""

import re
from collections.abc import Sequence

import msgspec

from dockercomp.protocol.errors import BadRequest, InvalidAllocation, NotFound, PreconditionFailed
from dockercomp.protocol.views import GroupChange, GroupView
from server import allocations
from server.allocating import Allocating
from server.store import Store
from server.store.connection import Document

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_CHANGED = "this group was changed by someone else meanwhile: look at it again"
_ROUNDS = 5


class Grouping:
    """Holds no state between calls. A change is settled at once, and by housekeeping where a master was lost in it."""

    def __init__(self, store: Store, allocating: Allocating) -> None:
        self._store = store
        self._allocating = allocating

    def groups(self) -> list[GroupView]:
        """In the order in which clients are tried on them."""
        now, counted = self._store.duties.read_now(), self._store.clients.members_counted()
        views = [_view(each, counted, now) for each in self._store.groups.all() if not each.get("removed")]
        return sorted(views, key=lambda view: (view.group.order, view.name))

    def group(self, name: str) -> GroupView:
        """Raises NotFound."""
        return _view(self._found(name), self._store.clients.members_counted(), self._store.duties.read_now())

    def put(self, name: str, change: GroupChange, version: int | None, author: str) -> GroupView:
        """Make a group, or change it; its members have it with their next sync. `version` is the one that was looked
        at (0: there was none), None: whatever it is now. Raises InvalidAllocation, BadRequest (its name),
        PreconditionFailed."""
        if not _NAME.fullmatch(name):
            raise BadRequest("a group's name is 1 to 40 lower-case letters, digits and - . _ , such as lab-a")
        allocations.check_group(change)
        at = version if version is not None else self._version(name)
        if not self._store.groups.put(name, at, msgspec.to_builtins(change), author):
            raise PreconditionFailed(_CHANGED)
        self.settle()
        return self.group(name)

    def delete(self, name: str, author: str, version: int | None) -> None:
        """Remove a group: members that follow it get what their next group gives, or all that their volunteer allows.
        Raises NotFound, PreconditionFailed."""
        found = self._found(name)
        if not self._store.groups.delete(name, found["version"] if version is None else version):
            raise PreconditionFailed(_CHANGED)
        self.settle()

    def tag(self, client: Document, tags: Sequence[str], author: str) -> None:
        """Give a client these tags and no others, and what its group now gives. Raises InvalidAllocation, NotFound."""
        for reason in allocations.tag_violations(tags):
            raise InvalidAllocation(reason)
        tagged = self._store.clients.tag(client["_id"], sorted(set(tags)))
        if tagged is None:
            raise NotFound(f"there is no client {client['_id']}")
        self._allocating.settle([tagged], self._allocating.groups())

    def members(self, name: str, after: str = "", limit: int = 0) -> list[Document]:
        """Its clients that are not retired, in the order of their ids; 0: all of them."""
        return self._store.clients.members(name, after, limit)

    def settle(self) -> int:
        """Let every client belong to the group that it fits and, if it follows, have what that gives; returns how many
        changed. In a fixed number of round trips, whatever the number of members; repeated where a group changed
        meanwhile."""
        changed = 0
        for _ in range(_ROUNDS):
            before = self._store.groups.all()
            changed += self._allocating.settle(self._store.clients.for_groups(), self._allocating.groups())
            if [(each["_id"], each["version"]) for each in self._store.groups.all()] == [
                (each["_id"], each["version"]) for each in before
            ]:
                break
        for each in before:
            if not each.get("settled"):
                self._store.groups.settled(each)
        return changed

    def settle_unsettled(self) -> int:
        """The same, where a master was lost after it had changed a group and before its members had that."""
        return self.settle() if any(not each.get("settled") for each in self._store.groups.all()) else 0

    def _found(self, name: str) -> Document:
        found = self._store.groups.by_name(name)
        if found is None or found.get("removed"):
            raise NotFound(f"there is no group {name[:60]}")
        return found

    def _version(self, name: str) -> int:
        found = self._store.groups.by_name(name)
        return int(found["version"]) if found else 0


def _view(found: Document, counted: dict[str, Document], now: float) -> GroupView:
    count = counted.get(found["_id"], {})
    return GroupView(
        name=found["_id"],
        version=found["version"],
        author=found["author"],
        changed_s_ago=max(0.0, now - found["at"]),
        group=msgspec.convert(found["group"], GroupChange),
        members=count.get("members", 0),
        following=count.get("following", 0),
        verified=count.get("verified", 0),
    )
