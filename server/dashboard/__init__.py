"""The dashboard: pages for admins and scientists, rendered here and kept fresh by htmx. No page needs another host."""

from flask import Flask
from flask_limiter import Limiter
from flask_login import LoginManager

from server.api.services import Services
from server.dashboard import (
    chunks,
    clients,
    doors,
    headers,
    jobs,
    overview,
    refusals,
    results,
    tasks,
    volunteers,
    wording,
)
from server.labelling import Labelling
from server.people import People


def register(app: Flask, services: Services, people: People, limiter: Limiter, login: LoginManager) -> None:
    """Add the dashboard's pages to the application, and to all of its pages the headers that lock them down."""
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # as long as the session: a dashboard stays open for days
    app.jinja_env.filters.update(wording.FILTERS)
    app.after_request(headers.harden)
    entrance = doors.make(people, limiter)
    inside = [part.make(services) for part in (overview, clients, jobs, results, chunks, volunteers)]
    for blueprint in inside:
        blueprint.before_request(doors.only_people)
    for blueprint in (entrance, *inside, *tasks.make(services, Labelling(services.store, services.inputs), limiter)):
        refusals.answer_as_pages(blueprint)
        app.register_blueprint(blueprint)
    refusals.unknown_addresses(app)
    login.unauthorized_handler(doors.to_login)
