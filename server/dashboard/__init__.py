"""The dashboard: pages for admins and scientists, rendered here and kept fresh by htmx. No page needs another host."""

from flask import Flask
from flask_limiter import Limiter
from flask_login import LoginManager

from server import warnings
from server.api.services import Services
from server.dashboard import (
    account,
    audit,
    chunks,
    clients,
    doors,
    groups,
    headers,
    jobs,
    overview,
    people,
    permissions,
    refusals,
    results,
    tasks,
    volunteers,
    wording,
)
from server.labelling import Labelling

_INSIDE = (overview, clients, groups, jobs, results, chunks, volunteers, people, account, audit)


def register(app: Flask, services: Services, limiter: Limiter, login: LoginManager) -> None:
    """Add the dashboard's pages to the application, and to all of its pages the headers that lock them down."""
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # as long as the session: a dashboard stays open for days
    app.jinja_env.filters.update(wording.FILTERS)
    app.after_request(headers.harden)
    if services.settings.url.startswith("https://"):
        app.after_request(headers.only_https)
    app.jinja_env.globals["warnings"] = warnings.of_settings(services.settings)
    labels, visitors = tasks.make(services, Labelling(services.store, services.inputs), limiter)
    inside = [labels, *(part.make(services) for part in _INSIDE)]
    for blueprint in (doors.make(services, limiter), visitors, *inside):
        refusals.answer_as_pages(blueprint)
        app.register_blueprint(blueprint)
    permissions.guard(app, services, {blueprint.name for blueprint in inside})
    refusals.unknown_addresses(app)
    login.unauthorized_handler(doors.to_login)
