"""Clients: the list, and a page each with its containers and the form that changes what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from dockercomp.protocol.errors import InvalidAllocation, NotFound, PreconditionFailed
from dockercomp.protocol.messages import ContainerReport
from dockercomp.protocol.views import ClientView
from server import describing
from server.api.auditing import note
from server.api.authentication import in_session
from server.api.clients import client_remove, discreet, forgiven, in_words
from server.api.services import Services
from server.dashboard.allocation import AllocationForm, settled, way
from server.dashboard.live import Part, page, show
from server.dashboard.trust import of_client
from server.running import faults_of
from server.store.connection import Document

PAGE = 50
_WATCH_S = 10.0
"""How long a look at a client's page keeps its syncs at short intervals."""


@dataclass(frozen=True)
class Use:
    """Limits and measured use of all containers of a client together; None where nothing was read."""

    cpus_limit: float | None
    cpus_used: float | None
    memory_limit: int | None
    memory_used: int | None

    @classmethod
    def of(cls, containers: Sequence[ContainerReport]) -> "Use":
        return cls(*(_sum([getattr(each, name) for each in containers]) for name in cls.__dataclass_fields__))


def make(services: Services) -> Blueprint:
    pages = Blueprint("clients", __name__, url_prefix="/clients")
    store, silent_after_s = services.store, services.settings.silent_after_s

    @pages.get("")
    def clients() -> str | Response:
        return show("dashboard/clients/page.html", {"list": Part("dashboard/clients/list.html", rows)})

    def rows() -> dict[str, Any]:
        after = request.args.get("after", "")
        now = store.duties.read_now()
        found = store.clients.page(after, PAGE + 1)
        views = [describing.client(each, now, silent_after_s) for each in found[:PAGE]]
        views = discreet(services, current_user.rights, views)
        following = views[-1].id if len(found) > PAGE else ""
        return {"clients": [(view, Use.of(view.containers)) for view in views], "after": after, "following": following}

    @pages.get("/<client>")
    def client(client: str) -> str | Response:
        document, view = look(client)
        form = AllocationForm.of(view.allocation)
        found = of_client(services, current_user.rights, document)
        return show(_CLIENT, parts(document, view), client=view, form=form, refused="", **found)

    @pages.post("/<client>")
    def allocate(client: str) -> AnyResponse:
        document, view = look(client)
        form = AllocationForm()
        refused, status = _try(services, document, view, form)
        if status == 303:
            return redirect(url_for("clients.client", client=client, _anchor="given"), 303)
        document, view = look(client)
        found = of_client(services, current_user.rights, document)
        return Response(page(_CLIENT, parts(document, view), client=view, form=form, refused=refused, **found), status)

    @pages.post("/<client>/retire")
    def retire(client: str) -> AnyResponse:
        client_remove(services, in_session(request), None, client)
        return redirect(url_for("clients.client", client=client), 303)

    @pages.post("/<client>/forgive")
    def forgive(client: str) -> AnyResponse:
        forgiven(services, in_session(request), request.form.get("reason", ""), client)
        return redirect(url_for("clients.client", client=client), 303)

    def look(client: str) -> tuple[Document, ClientView]:
        """The client as it is now. An admin's look makes it sync at short intervals for a while."""
        document, now = store.clients.by_id(client), store.duties.read_now()
        if document is None:
            raise NotFound(f"There is no client {client}.")
        if current_user.role == "admin" and document.get("watched_until", 0.0) < now + _WATCH_S / 2:
            store.clients.watch(client, _WATCH_S)
        (view,) = discreet(services, current_user.rights, [describing.client(document, now, silent_after_s)])
        return document, view

    return pages


_CLIENT = "dashboard/clients/client.html"


def parts(document: Document, view: ClientView) -> dict[str, Part]:
    """The live parts of a client's page; a change is looked at each second until it has come all the way.

    The change and the containers are one part, so that they never tell different stories.
    """
    steps = way(view)
    facts: dict[str, Any] = {"client": view, "refused_jobs": [], "faults": []}
    if current_user.rights.sees_all:
        facts |= {"refused_jobs": document.get("refused_jobs") or [], "faults": faults_of(document)}
    now = {"steps": steps, "client": view, "total": Use.of(view.containers)}
    return {
        "facts": Part("dashboard/clients/facts.html", lambda: facts),
        "now": Part("dashboard/clients/now.html", lambda: now, 2 if settled(steps) else 1),
    }


def _try(services: Services, document: Document, view: ClientView, form: AllocationForm) -> tuple[str, int]:
    """Change the allocation as the form asks: what was refused (empty where the fields say it), and the HTTP status."""
    if view.ceiling is None:
        raise NotFound(f"The client {view.id} has not said what it allows.")
    change = form.change(view.allocation, view.ceiling)
    if change is None:
        return "", 422
    note(detail=in_words(change))
    told = form.version.data or ""
    version = int(told) if told.isascii() and told.isdigit() and len(told) < 18 else 0
    try:
        services.enrolment.allocate(document, change, version)
    except InvalidAllocation as error:
        return str(error), 422
    except PreconditionFailed:
        latest = services.store.clients.by_id(view.id) or document
        form.version.data = str(latest["allocation"]["version"])
        return _CHANGED, 412
    return "", 303


_CHANGED = (
    "Someone else changed this client while you were editing: what is wanted now stands beside the form. Your values"
    " are kept here and nothing was changed; apply again if you still want them."
)


def _sum(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
