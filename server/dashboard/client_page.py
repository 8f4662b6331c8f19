"""The page of one client: what it is, the form that changes what it is given, how far that has come, its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request
from flask_login import current_user

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.messages import ContainerReport
from dockercomp.protocol.views import ClientView
from server import describing
from server.allocations import room_of
from server.api.clients import discreet, is_version
from server.api.services import Services
from server.dashboard import differences, speedups, way
from server.dashboard.allocation import AllocationForm, described, values_of
from server.dashboard.live import Part, beside, page, show
from server.dashboard.trust import of_client
from server.running import faults_of
from server.store.connection import Document

_PAGE, _AT = "dashboard/clients/client.html", "clients.client"
_WATCH_S = 10.0
"""How long one look keeps a client's syncs at short intervals."""
_RECORDS = 10
"""Of a client's history on its page at once."""


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


def watch(services: Services, shown: Sequence[Document], now: float) -> None:
    """An admin looks at these clients: they are asked to sync at short intervals, where they are not for long enough
    already."""
    if current_user.role == "admin":
        due = [each["_id"] for each in shown if each.get("watched_until", 0.0) < now + _WATCH_S / 2]
        if due:
            services.store.clients.watch(due, _WATCH_S)


def seen(services: Services, documents: Sequence[Document]) -> list[ClientView]:
    """Clients as who looks may see them. An admin's look makes them sync at short intervals for a while."""
    now = services.store.duties.read_now()
    watch(services, documents, now)
    views = [describing.client(each, now, services.settings.silent_after_s) for each in documents]
    return discreet(services, current_user.rights, views)


def look(services: Services, client: str) -> tuple[Document, ClientView]:
    """The client as it is now. Raises NotFound."""
    document = services.store.clients.by_id(client)
    if document is None:
        raise NotFound(f"There is no client {client}.")
    (view,) = seen(services, [document])
    return document, view


def shown(services: Services, client: str) -> str | Response:
    """The page, or the part of it that is asked for."""
    document, view = look(services, client)
    form = AllocationForm.of(view.allocation)
    return show(_PAGE, _parts(services, document, view), **_around(services, document, view, form))


def answered(services: Services, client: str, status: int, form: AllocationForm | None = None, **told: Any) -> Response:
    """The page as it is now, after a form of it was sent: with `form` as it was typed, and what is told of it. A
    script, which still has the form, gets what stands beside it."""
    document, view = look(services, client)
    form = form or AllocationForm.of(view.allocation)
    if status in (200, 412):
        form.version.data = str(view.allocation.version)
    parts = _parts(services, document, view)
    context = _around(services, document, view, form) | told
    if not by_script():
        return Response(page(_PAGE, parts, _AT, **context), status)
    answer = render_template("dashboard/clients/answer.html", errors=True, **context)
    return Response(f"{answer}{beside(parts, _AT)}", status)


def by_script() -> bool:
    """Whether a script of the page asks, and not its form."""
    return "HX-Request" in request.headers


def _around(services: Services, document: Document, view: ClientView, form: AllocationForm) -> dict[str, Any]:
    """What stands on the page beside its live parts."""
    return {
        "client": view,
        "form": form,
        "room": room_of(document) if view.ceiling else None,
        "wanted": described(view.allocation),
        "refused": "",
        "tags": ", ".join(view.tags),
        "tags_refused": "",
        **of_client(services, current_user.rights, document),
    }


def _parts(services: Services, document: Document, view: ClientView) -> dict[str, Part]:
    """The live parts; a change is looked at each second until it has come all the way.

    The change and the containers are one part, so that they never tell different stories.
    """
    facts: dict[str, Any] = {"client": view, "refused_jobs": [], "faults": []}
    if current_user.rights.sees_all:
        facts |= {"refused_jobs": document.get("refused_jobs") or [], "faults": faults_of(document)}
    now = {
        "steps": way.steps(view),
        "titles": way.TITLES,
        "given": values_of(view.allocation),
        "wanted": described(view.allocation),
        "client": view,
        "total": Use.of(view.containers),
    }
    found = {
        "facts": Part("dashboard/clients/facts.html", lambda: facts),
        "now": Part("dashboard/clients/now.html", lambda: now, 2 if way.settled(view) else 1),
        "load": speedups.of_client(services, document),
    }
    if current_user.role == "admin":
        found["history"] = Part("dashboard/clients/history.html", lambda: _history(services, view), 5)
    return found


def _history(services: Services, view: ClientView) -> dict[str, Any]:
    """A page of what it was given, each with what that changed; ?before= is the version that the page begins below."""
    told = request.args.get("before", "")
    before = int(told) if is_version(told) else None
    records = services.allocating.history(view.id, before, _RECORDS + 1)
    olders = [*(each.allocation for each in records[1:]), None]
    rows = [
        (record, differences.between(older, record.allocation), way.came(record, view))
        for record, older in zip(records[:_RECORDS], olders, strict=False)
    ]
    following = records[_RECORDS - 1].allocation.version if len(records) > _RECORDS else None
    return {"client": view, "rows": rows, "before": before, "following": following}


def _sum(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
