"""All the wiring of a process that serves: `create_app`."""

import threading
from datetime import timedelta
from typing import Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_wtf import CSRFProtect

from dockercomp.protocol.signing import public_key
from server import dashboard
from server.api import clients, endings, jobs, operations, results, streams, transfers, workers
from server.api.binding import bind
from server.api.services import Services
from server.enrolment import Enrolment
from server.explaining import Explaining
from server.inputs import Inputs
from server.jobs import Submission
from server.metrics import Metrics
from server.naming import Names
from server.people import People
from server.plotting import Plotting
from server.results import Results
from server.scheduling import Scheduling
from server.settings import Settings, read, read_secrets
from server.sources import Sources
from server.sync import Sync
from server.wiring import configure_logging, mongo_uri, open_store


def create_app(settings: Settings | None = None) -> Flask:
    """The master's WSGI application; each process of gunicorn makes its own, after forking."""
    settings = settings or read()
    configure_logging()
    app = Flask("server", static_folder="dashboard/static", template_folder="dashboard/templates")
    services = make_services(settings)
    app.config.update(
        SECRET_KEY=services.secrets.flask,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.url.startswith("https://"),
        PERMANENT_SESSION_LIFETIME=timedelta(days=7),
    )
    people = People(services.store)
    login = LoginManager(app)
    login.user_loader(people.load)
    csrf = CSRFProtect(app)
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri=mongo_uri(settings),
        storage_options={"database_name": settings.database},
    )
    bind(
        app,
        services,
        {
            **operations.HANDLERS,
            **workers.HANDLERS,
            **transfers.HANDLERS,
            **jobs.HANDLERS,
            **endings.HANDLERS,
            **results.HANDLERS,
            **streams.HANDLERS,
            **clients.HANDLERS,
        },
    )
    csrf.exempt(app.blueprints["api"])  # the API takes no changes on the strength of a cookie
    for name in ("enrol", "submit"):
        limited: Any = limiter.limit("240/minute")(app.view_functions[f"api.{name}"])
        app.view_functions[f"api.{name}"] = limited
    dashboard.register(app, services, people, limiter, login)
    return app


def make_services(settings: Settings) -> Services:
    """What handlers work with, for one process."""
    secrets = read_secrets(settings.home)
    store = open_store(settings)
    inputs = Inputs(store, Sources(store, private_urls=settings.private_urls))
    metrics = Metrics()
    found = Results(store, inputs.sources)
    return Services(
        settings=settings,
        secrets=secrets,
        store=store,
        inputs=inputs,
        names=Names(inputs.sources),
        results=found,
        plotting=Plotting(found),
        explaining=Explaining(store, inputs.sources, settings.silent_after_s),
        sync=Sync(store, inputs, metrics, heartbeat_s=settings.heartbeat_s),
        submission=Submission(store, secrets.signing_seed, inputs.sources, private_urls=settings.private_urls),
        enrolment=Enrolment(store, public_key(secrets.signing_seed)),
        metrics=metrics,
        scheduling=Scheduling(store),
        transfers=threading.BoundedSemaphore(max(1, settings.threads // 2)),
    )
