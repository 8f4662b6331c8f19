"""Groups of clients: the list, and a page each with its rule, what it gives, and how far its members are."""

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from dockercomp.protocol.errors import BadRequest, PreconditionFailed
from dockercomp.protocol.views import GroupChange, GroupRule, GroupView
from server.allocations import in_words
from server.api.auditing import note
from server.api.clients import is_version
from server.api.services import Services
from server.dashboard import way
from server.dashboard.allocation import described
from server.dashboard.client_page import seen
from server.dashboard.group_form import GroupForm, gives, ruled
from server.dashboard.live import Part, page, show

_LIST, _ONE = "dashboard/groups/page.html", "dashboard/groups/group.html"
_MEMBERS = 200
"""Most members that a group's page shows."""
_NEW = GroupChange(rule=GroupRule())
_CHANGED = (
    "Someone else changed this group while you were editing. Your values are kept here and nothing was changed; apply"
    " again if you still want them."
)
_THERE = "There is a group of this name already: choose another one, or change that one on its page."


def make(services: Services) -> Blueprint:
    pages = Blueprint("groups", __name__, url_prefix="/groups")
    grouping = services.grouping

    @pages.get("")
    def groups() -> str | Response:
        return show(_LIST, _listed(services), form=GroupForm.of(_NEW, 0), name="", refused="")

    @pages.post("")
    def add() -> AnyResponse:
        form, name = GroupForm(), request.form.get("group", "").strip()
        refused, status = _put(services, name, form, None)
        if status == 303:
            return redirect(url_for("groups.group", group=name), 303)
        html = page(_LIST, _listed(services), "groups.groups", form=form, name=name, refused=refused)
        return Response(html, status)

    @pages.get("/<group>")
    def group(group: str) -> str | Response:
        found = grouping.group(group)
        form = GroupForm.of(found.group, found.version)
        return show(_ONE, _members(services, found), **_around(found, form))

    @pages.post("/<group>")
    def change(group: str) -> AnyResponse:
        found, form = grouping.group(group), GroupForm()
        refused, status = _put(services, group, form, found)
        if status == 303:
            return redirect(url_for("groups.group", group=group), 303)
        context = _around(found, form) | {"refused": refused}
        if status == 412:
            form.version.data = str(found.version)
            context["now"] = f"{ruled(found.group.rule)}: {gives(found.group)}"
        return Response(page(_ONE, _members(services, found), **context), status)

    @pages.post("/<group>/delete")
    def delete(group: str) -> AnyResponse:
        version = request.form.get("version", "")
        if not is_version(version):
            raise BadRequest("This form tells no version: load the group's page again.")
        grouping.delete(group, current_user.id, int(version))
        return redirect(url_for("groups.groups"), 303)

    return pages


def _put(services: Services, name: str, form: GroupForm, now: GroupView | None) -> tuple[str, int]:
    """Make the group, or change it from what it is `now`, as the form asks: what was refused (empty where the fields
    say it), and the HTTP status."""
    change = form.change(now.group if now else None)
    if change is None:
        return "", 422
    note(subject=name, detail=in_words(change))
    try:
        services.grouping.put(name, change, form.told_version if now else 0, current_user.id)
    except PreconditionFailed:
        return (_CHANGED, 412) if now else (_THERE, 409)
    except BadRequest as error:
        return f"{str(error).capitalize()}.", 422
    return "", 303


def _around(found: GroupView, form: GroupForm) -> dict[str, Any]:
    return {"group": found, "form": form, "rule": ruled(found.group.rule), "refused": "", "now": ""}


def _listed(services: Services) -> dict[str, Part]:
    def rows() -> dict[str, Any]:
        found = services.grouping.groups()
        return {"groups": [(each, ruled(each.group.rule), gives(each.group)) for each in found]}

    return {"list": Part("dashboard/groups/list.html", rows, 5)}


def _members(services: Services, found: GroupView) -> dict[str, Part]:
    def rows() -> dict[str, Any]:
        views = seen(services, services.grouping.members(found.name, limit=_MEMBERS))
        members = [(view, described(view.allocation), way.reached(view.progress)) for view in views]
        return {"group": found, "members": members}

    return {"members": Part("dashboard/groups/members.html", rows)}
