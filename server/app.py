"""All the wiring of a process that serves: `create_app`."""

import threading
from datetime import timedelta
from typing import Any

from flask import Flask, request
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from dockercomp.protocol.signing import public_key
from server import dashboard
from server.allocating import Allocating
from server.allowances import Allowances
from server.api import (
    clients,
    endings,
    groups,
    jobs,
    operations,
    people,
    quotas,
    receipts,
    results,
    scientists,
    speedups,
    streams,
    transfers,
    workers,
)
from server.api.binding import bind
from server.api.services import Services
from server.arrival import WHOLE
from server.audit import Audit
from server.enrolment import Enrolment
from server.explaining import Explaining
from server.grouping import Grouping
from server.inputs import Inputs
from server.jobs import Submission
from server.metrics import Metrics
from server.naming import Names
from server.people import People
from server.plotting import Plotting
from server.possession import Possession
from server.rates import Limits, block_of
from server.receipts import Receipts
from server.results import Results
from server.scheduling import Scheduling
from server.scientists import Scientists
from server.settings import Settings, read, read_secrets
from server.signing_keys import Keys
from server.sources import Sources
from server.sync import Sync
from server.tokens import Tokens
from server.wiring import configure_logging, open_store


def create_app(settings: Settings | None = None) -> Flask:
    """The master's WSGI application; each process of gunicorn makes its own, after forking."""
    settings = settings or read()
    configure_logging()
    app = Flask("server", static_folder="dashboard/static", template_folder="dashboard/templates")
    app.url_map.merge_slashes = False  # it redirects, to whatever host the request named
    services = make_services(settings)
    app.extensions["dockercomp"] = services  # for whoever must close the store again
    app.config.update(
        SECRET_KEY=services.secrets.flask,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.url.startswith("https://"),
        MAX_CONTENT_LENGTH=WHOLE,  # of pages; routes of the API have limits of their own
        PERMANENT_SESSION_LIFETIME=timedelta(days=7),
    )
    login = LoginManager(app)
    login.user_loader(services.people.load)
    csrf = CSRFProtect(app)
    of_the_store: dict[str, Any] = {"rates": services.store.rates}
    limiter = Limiter(
        lambda: block_of(request.remote_addr or ""),
        app=app,
        storage_uri="store://",
        storage_options=of_the_store,
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
            **receipts.HANDLERS,
            **streams.HANDLERS,
            **clients.HANDLERS,
            **groups.HANDLERS,
            **quotas.HANDLERS,
            **people.HANDLERS,
            **scientists.HANDLERS,
            **speedups.HANDLERS,
        },
    )
    csrf.exempt(app.blueprints["api"])  # the API takes no changes on the strength of a cookie
    dashboard.register(app, services, limiter, login)
    if settings.proxy_hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.proxy_hops, x_proto=settings.proxy_hops
        )
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
        receipts=Receipts(store, inputs.sources, secrets.signing_seed, settings.url),
        keys=Keys(store),
        plotting=Plotting(found),
        explaining=Explaining(store, inputs.sources, settings.silent_after_s, settings.independent),
        sync=Sync(
            store,
            inputs,
            metrics,
            heartbeat_s=settings.heartbeat_s,
            draws=secrets.draws,
            independent=settings.independent,
        ),
        submission=Submission(store, secrets.signing_seed, inputs.sources, private_urls=settings.private_urls),
        enrolment=Enrolment(store, public_key(secrets.signing_seed)),
        allocating=(allocating := Allocating(store)),
        grouping=Grouping(store, allocating),
        people=People(store),
        possession=Possession(store),
        tokens=Tokens(store),
        audit=Audit(store),
        metrics=metrics,
        limits=Limits(store),
        allowances=Allowances(store, settings.quota),
        scheduling=Scheduling(store),
        scientists=Scientists(store),
        transfers=threading.BoundedSemaphore(max(1, settings.threads // 2)),
    )
