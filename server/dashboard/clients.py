"""Clients: the list, a page each, and everything that an admin can do with one."""

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from dockercomp.protocol.errors import BadRequest, InvalidAllocation, NotFound, PreconditionFailed
from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.views import AllocationChange, TagsChange
from server.allocations import change_of, in_words, room_of
from server.api import clients as api
from server.api.auditing import note
from server.api.authentication import in_session
from server.api.services import Services
from server.dashboard import way
from server.dashboard.allocation import AllocationForm, words
from server.dashboard.client_page import Use, answered, by_script, look, seen, shown
from server.dashboard.live import Part, show
from server.store.connection import Document

PAGE = 50


def make(services: Services) -> Blueprint:
    pages = Blueprint("clients", __name__, url_prefix="/clients")
    _change_pages(pages, services)

    @pages.get("")
    def clients() -> str | Response:
        return show("dashboard/clients/page.html", {"list": Part("dashboard/clients/list.html", rows)})

    def rows() -> dict[str, Any]:
        after = request.args.get("after", "")
        found = services.store.clients.page(after, PAGE + 1)
        views = seen(services, found[:PAGE])
        following = views[-1].id if len(found) > PAGE else ""
        rows = [(view, Use.of(view.containers), way.reached(view.progress)) for view in views]
        return {"clients": rows, "after": after, "following": following}

    @pages.get("/<client>")
    def client(client: str) -> str | Response:
        return shown(services, client)

    @pages.post("/<client>/retire")
    def retire(client: str) -> AnyResponse:
        api.client_remove(services, in_session(request), None, client)
        return _back(client)

    @pages.post("/<client>/forgive")
    def forgive(client: str) -> AnyResponse:
        api.forgiven(services, in_session(request), request.form.get("reason", ""), client)
        return _back(client)

    return pages


def _change_pages(pages: Blueprint, services: Services) -> None:
    """The forms that change what a client is given."""

    @pages.post("/<client>")
    def allocate(client: str) -> AnyResponse:
        document, view = look(services, client)
        if view.ceiling is None:
            raise NotFound(f"The client {client} has not said what it allows.")
        form = AllocationForm()
        change = form.change(view.allocation, room_of(document))
        if change is None:
            return answered(services, client, 422, form)
        return give(document, change, form)

    @pages.post("/<client>/restore")
    def restore(client: str) -> AnyResponse:
        document, _ = look(services, client)
        found = _earlier(services, client, request.form.get("to", ""))
        form = AllocationForm.of(found)
        form.version.data = request.form.get("version", "")
        return give(document, change_of(found), form)

    @pages.post("/<client>/follow")
    def follow(client: str) -> AnyResponse:
        api.client_follow(services, in_session(request), None, client)
        return _back(client)

    @pages.post("/<client>/tags")
    def tag(client: str) -> AnyResponse:
        tags = words(request.form.get("tags", ""))
        try:
            api.client_tags(services, in_session(request), TagsChange(tags=tags), client)
        except BadRequest as error:
            why = f"{str(error).capitalize()}."
            return answered(services, client, error.status, tags=", ".join(tags), tags_refused=why)
        return _back(client, "tags")

    def give(document: Document, change: AllocationChange, form: AllocationForm) -> AnyResponse:
        note(detail=in_words(change))
        try:
            services.allocating.allocate(document, change, form.told_version, current_user.id)
        except InvalidAllocation as error:
            return answered(services, document["_id"], 422, form, refused=str(error))
        except PreconditionFailed:
            return answered(services, document["_id"], 412, form, refused=_CHANGED)
        return answered(services, document["_id"], 200, form) if by_script() else _back(document["_id"])


_CHANGED = (
    "Someone else changed this client while you were editing. Your values are kept here and nothing was changed; apply"
    " them if you still want them."
)


def _earlier(services: Services, client: str, told: str) -> Allocation:
    """What it was given in that version. Raises NotFound."""
    version = int(told) if api.is_version(told) else 0
    for record in services.allocating.history(client, version + 1, 1):
        if record.allocation.version == version:
            return record.allocation
    raise NotFound(f"There is no version {version} in the history of client {client}.")


def _back(client: str, anchor: str = "given") -> AnyResponse:
    return redirect(url_for("clients.client", client=client, _anchor=anchor), 303)
