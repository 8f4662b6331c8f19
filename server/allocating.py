"""Duty: giving clients what an admin, or their group, wants them to have; and what they were given before."""

from collections.abc import Sequence
from datetime import datetime, timezone

import msgspec

from dockercomp.protocol.errors import PreconditionFailed
from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.views import AllocationChange, AllocationRecord, GroupChange
from server import allocations
from server.allocations import FIRST_CONTACT, Group
from server.store import Store
from server.store.clients import Given
from server.store.connection import Document

_TRIES = 5
_CHANGED = "this allocation was changed by someone else meanwhile: look at it again"
MOST_RECORDS = 200


class Allocating:
    """Holds no state between calls. What is wanted reaches a client with its next sync."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allocate(self, client: Document, change: AllocationChange, version: int | None, author: str) -> Allocation:
        """Give a client another allocation; from then on it does not follow its group. `version` is that of the
        allocation that was looked at, None: whatever it is now.

        Raises InvalidAllocation, PreconditionFailed (changed by someone else).
        """
        allocations.check_allocation(change, allocations.ceiling_of(client), allocations.machine_of(client))
        return self._give(client, change, version, author, follows=False)

    def follow(self, client: Document, author: str) -> Allocation:
        """Give a client what its group gives, now and whenever that changes; without a group, all that its volunteer
        allows. Raises PreconditionFailed."""
        group = allocations.group_of(client, self.groups())
        change = allocations.given(group.change, allocations.room_of(client))
        made = self._give(client, change, None, author, follows=True, group=group.name)
        after = self._store.clients.for_groups([client["_id"]])
        if not self.settle(after, self.groups()):  # the group may have been changed between
            return made
        after = self._store.clients.for_groups([client["_id"]])
        return msgspec.convert(after[0]["allocation"], Allocation) if after else made

    def first(self, newcomer: Document) -> Document:
        """The fields of a new client that say what it is given: what its group gives to newcomers."""
        group = allocations.group_of(newcomer, self.groups())
        made = allocations.allocation(allocations.given(group.change, allocations.room_of(newcomer)), 1)
        author = group.author if group.name else FIRST_CONTACT
        return {"allocation": msgspec.to_builtins(made), "author": author, "group": group.name, "follows": True}

    def settle(self, clients: Sequence[Document], groups: Sequence[Group]) -> int:
        """Let each of these clients belong to the group that it fits, and those that follow have what that gives: one
        write for all of them, and none where nothing changes. Returns how many changed. One that changed meanwhile is
        looked at again: what changed it may have known older groups, or an older ceiling."""
        changed = 0
        for _ in range(_TRIES):
            changes = [change for client in clients if (change := _settled(client, groups)) is not None]
            if not changes:
                break
            given = [each.client for each in changes if each.allocation is not None]
            self._store.allocations.record(given)
            hit = self._store.clients.allocate(changes)
            self._store.allocations.record(given)
            changed += hit
            if hit == len(changes):
                break
            clients, groups = self._store.clients.for_groups([each.client for each in changes]), self.groups()
        return changed

    def groups(self) -> list[Group]:
        """The groups as they stand."""
        return [
            Group(each["_id"], each["version"], msgspec.convert(each["group"], GroupChange))
            for each in self._store.groups.all()
            if not each.get("removed")
        ]

    def history(self, client_id: str, before: int | None, limit: int) -> list[AllocationRecord]:
        """What a client was given, the newest first; with `before`, of versions below that one."""
        found = self._store.allocations.of_client(client_id, before, max(1, min(limit, MOST_RECORDS)))
        return [_record(each) for each in found]

    def _give(
        self,
        client: Document,
        change: AllocationChange,
        version: int | None,
        author: str,
        *,
        follows: bool,
        group: str | None = None,
    ) -> Allocation:
        for _ in range(_TRIES if version is None else 1):
            at = int(client["allocation"]["version"]) if version is None else version
            made = allocations.allocation(change, at + 1)
            self._store.allocations.record([client["_id"]])  # where a master was lost before it could
            given = Given(
                client=client["_id"],
                version=at,
                group=client.get("group", "") if group is None else group,
                author=author,
                allocation=msgspec.to_builtins(made),
                follows=follows,
            )
            if self._store.clients.allocate([given]):
                self._store.allocations.record([client["_id"]])
                return made
            client = self._store.clients.by_id(client["_id"]) or client
        raise PreconditionFailed(_CHANGED)


def _settled(client: Document, groups: Sequence[Group]) -> Given | None:
    """What must change for a client to be in its group and, if it follows, to have what that gives."""
    group = allocations.group_of(client, groups)
    now = msgspec.convert(client["allocation"], Allocation)
    wanted = now
    if client.get("follows") and client.get("ceiling"):
        change = allocations.given(group.change, allocations.room_of(client))
        wanted = allocations.allocation(change, now.version)
    if wanted == now and group.name == client.get("group", ""):
        return None
    changed = msgspec.structs.replace(wanted, version=now.version + 1)
    return Given(
        client=client["_id"],
        version=now.version,
        group=group.name,
        author=group.author if group.name else FIRST_CONTACT,
        allocation=msgspec.to_builtins(changed) if wanted != now else None,
        follows=bool(client.get("follows")),
        only_followers=wanted != now,
    )


def _record(found: Document) -> AllocationRecord:
    way = found.get("way") or {}
    return AllocationRecord(
        allocation=msgspec.convert(found["allocation"], Allocation),
        author=found.get("author") or FIRST_CONTACT,
        at=_when(found.get("at")),
        sent=_when(way.get("sent")),
        received=_when(way.get("received")),
        applied=_when(way.get("applied")),
        verified=_when(way.get("verified")),
    )


def _when(seconds: float | None) -> str:
    if not seconds:
        return ""
    at = datetime.fromtimestamp(seconds, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
