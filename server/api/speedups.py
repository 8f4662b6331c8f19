"""Routes of measurements: how a job speeds up with width, and how busy a client's machine was."""

from typing import Any

from flask import Response, request

from dockercomp.protocol.errors import BadRequest, NotFound, NotPlottable
from dockercomp.protocol.views import SpeedupList, SpeedupView
from server.api.responses import message, plotted
from server.api.services import Caller, Services
from server.learning import speedups_of
from server.plots import loads, speedups
from server.plots.reading import CannotPlot
from server.sampling import series_of

LONGEST_HOURS = 7 * 24


def job_speedup(services: Services, caller: Caller, _: None, job: str) -> Response:
    """Of a stage or kind of machine, where ?stage= or ?kind= name one; the picture is of the first that fits."""
    views = _asked(speedups_of(services.store, services.job(job)))
    form = _form()
    if form == "json":
        return message(SpeedupList(speedups=views))
    if form == "csv":
        return plotted(speedups.table(views), form)
    if not views:
        raise NotFound(f"no run of job {job} has told of its speed-up yet, for this stage and kind of machine")
    try:
        return plotted(speedups.draw(views[0]).svg, form)
    except CannotPlot as error:
        raise NotPlottable(f"the speed-up of job {job} {error}") from error


def client_load(services: Services, caller: Caller, _: None, client: str) -> Response:
    document = services.store.clients.by_id(client)
    if document is None:
        raise NotFound(f"there is no client {client}")
    show, form = request.args.get("show", "cpus"), _form()
    if show not in ("cpus", "memory"):
        raise BadRequest("?show= is cpus or memory")
    series = series_of(services.store, document, services.store.duties.read_now() - 3600 * _hours())
    if form == "json":
        return message(series)
    if form == "csv":
        return plotted(loads.table(series), form)
    try:
        return plotted(loads.draw(series, "memory" if show == "memory" else "cpus").svg, form)
    except CannotPlot as error:
        raise NotPlottable(f"the load of client {client} {error}") from error


def _asked(views: list[SpeedupView]) -> list[SpeedupView]:
    stage, kind = request.args.get("stage", ""), request.args.get("kind", "")
    return [view for view in views if stage in ("", view.stage) and kind in ("", view.kind)]


def _form() -> str:
    form = request.args.get("format", "json")
    if form not in ("json", "csv", "svg"):
        raise BadRequest("?format= is json, csv or svg")
    return form


def _hours() -> int:
    """?hours=, 1 to LONGEST_HOURS, a day by default."""
    value = request.args.get("hours", "24")
    if not (value.isascii() and value.isdigit() and len(value) < 5) or not 1 <= int(value) <= LONGEST_HOURS:
        raise BadRequest(f"?hours= is a number from 1 to {LONGEST_HOURS}")
    return int(value)


HANDLERS: dict[str, Any] = {"job_speedup": job_speedup, "client_load": client_load}
