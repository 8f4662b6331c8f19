"""How a job speeds up with width, and how busy a client's machine was: parts of their pages."""

from math import inf
from typing import Any

from dockercomp.protocol.messages import Point
from dockercomp.protocol.speedup_view import in_words, mean_band
from dockercomp.protocol.views import SpeedupView
from server.api.services import Services
from server.dashboard.live import Part
from server.learning import speedups_of
from server.plots import loads
from server.sampling import series_of
from server.store.connection import Document

_SHOWN = 6
"""Stages and kinds of machine that a page shows; the others are in the table that can be saved."""
_DAY_S = 86_400.0


def of_job(services: Services, job: Document) -> Part:
    """Plot, table and sentence of each stage and kind of machine."""
    running = job["state"] == "running"

    def found() -> dict[str, Any]:
        views = speedups_of(services.store, job)
        return {
            "job": job,
            "running": running and job["spec"]["map"].get("question") is None,
            "found": [_told(view) for view in views[:_SHOWN]],
            "more": len(views) - _SHOWN,
        }

    return Part("dashboard/jobs/speedup.html", found, 5 if running else 0)


def of_client(services: Services, client: Document) -> Part:
    """The load of the last day; looked at as often as it is sampled."""

    def found() -> dict[str, Any]:
        series = series_of(services.store, client, services.store.duties.read_now() - _DAY_S)
        titles = loads.TITLES if len(series.samples) > 1 else {}
        plots = [{"show": show, "title": titles[show], "summary": loads.summary(series, show)} for show in titles]
        return {"client": client, "series": series, "plots": plots}

    return Part("dashboard/clients/load.html", found, 30)


def _told(view: SpeedupView) -> dict[str, Any]:
    return {"view": view, "words": in_words(view), "rows": [_row(view, point) for point in view.points]}


def _row(view: SpeedupView, point: Point) -> dict[str, Any]:
    low, high = mean_band(point)
    fitted = view.speedup[view.widths.index(point.width)] if view.law else None
    return {
        "point": point,
        "half": (high - low) / 2 if high < inf else None,
        "cpu_s": point.cpu_s / point.runs,
        "speedup": view.one_s / point.mean if view.law else None,
        "fitted": fitted,
    }
