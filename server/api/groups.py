"""Routes of admins: groups of clients, and what they give their members."""

from typing import Any

from flask import Response, request

from dockercomp.protocol.views import ClientPage, GroupChange, GroupList, GroupView
from server import describing
from server.allocations import in_words
from server.api.auditing import note
from server.api.clients import wanted_version
from server.api.jobs import page_limit
from server.api.responses import message
from server.api.services import Caller, Services


def groups(services: Services, caller: Caller, _: None) -> GroupList:
    return GroupList(groups=services.grouping.groups())


def group(services: Services, caller: Caller, _: None, group: str) -> Response:
    return _tagged(services.grouping.group(group))


def group_set(services: Services, caller: Caller, body: GroupChange, group: str) -> Response:
    note(detail=in_words(body))
    return _tagged(services.grouping.put(group, body, wanted_version(), caller.id))


def group_remove(services: Services, caller: Caller, _: None, group: str) -> GroupView:
    """The answer is the last of it."""
    view = services.grouping.group(group)
    services.grouping.delete(group, caller.id, wanted_version())
    return view


def group_members(services: Services, caller: Caller, _: None, group: str) -> ClientPage:
    limit = page_limit()
    name = services.grouping.group(group).name
    found = services.grouping.members(name, request.args.get("cursor", ""), limit)
    now = services.store.duties.now()
    views = [describing.client(document, now, services.settings.silent_after_s) for document in found]
    return ClientPage(clients=views, next=found[-1]["_id"] if len(found) == limit else None)


def _tagged(view: GroupView) -> Response:
    return message(view, ETag=f'"{view.version}"')


HANDLERS: dict[str, Any] = {
    "groups": groups,
    "group": group,
    "group_set": group_set,
    "group_remove": group_remove,
    "group_members": group_members,
}
