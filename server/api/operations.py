"""Routes for operators and newcomers: health, metrics, the API's own description, the installer and its packages."""

import re
from html import escape
from pathlib import Path
from typing import Any

from flask import Response, request

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.routes import ROUTES
from dockercomp.protocol.signing import fingerprint, public_key
from dockercomp.protocol.views import Health
from server.api import openapi as description
from server.api.services import Caller, Services

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]*\Z")


def healthz(services: Services, caller: Caller, _: None) -> Health:
    return Health(status="ok")


def readyz(services: Services, caller: Caller, _: None) -> Health:
    services.store.duties.now()  # a majority write: raises Unavailable where it cannot be had
    return Health(status="ok")


def metrics(services: Services, caller: Caller, _: None) -> Response:
    return Response(services.metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def openapi(services: Services, caller: Caller, _: None) -> dict[str, Any]:
    return description.document(services.settings.url)


def docs(services: Services, caller: Caller, _: None) -> Response:
    rows = "".join(
        f"<tr><td><code>{route.method}</code></td><td><code>{escape(route.path)}</code></td>"
        f"<td>{escape(route.who)}</td><td>{escape(route.summary)}</td></tr>"
        for route in ROUTES
    )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>dockerComp API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/static/vendor/bootstrap.min.css"><main class="container py-4">'
        '<h1>dockerComp API</h1><p>The same as <a href="/api/v1/openapi.json">an OpenAPI 3.1 document</a>. '
        "Send <code>Authorization: Bearer TOKEN</code>; errors are RFC 9457 problems with a stable "
        "<code>code</code>.</p>"
        '<div class="table-responsive" role="region" aria-label="Routes" tabindex="0">'
        '<table class="table"><thead><tr><th>Method</th><th>Path</th><th>For</th><th>What</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></main></html>"
    )
    return Response(page, content_type="text/html; charset=utf-8")


def installer(services: Services, caller: Caller, _: None) -> Response:
    """The installer with the configured address (never the request's Host), the fingerprints of certificate and key,
    and, behind an admin's link, its token."""
    token = request.args.get("token", "")
    script = (_ROOT / "installer.sh").read_text(encoding="utf-8")
    served = {
        "URL": services.settings.url,
        "PIN": services.settings.tls_pin,
        "KEY": fingerprint(public_key(services.secrets.signing_seed)),
        "TOKEN": token if _TOKEN.match(token) else "",
    }
    for name, value in served.items():
        script = script.replace(f"DC_SERVED_{name}=''", f"DC_SERVED_{name}='{value}'", 1)
    return Response(script, content_type="text/x-shellscript; charset=utf-8", headers={"Cache-Control": "no-store"})


def worker_wheel(services: Services, caller: Caller, _: None, filename: str) -> Response:
    """A file of DC_HOME/cache/worker, where start put the worker's wheel, its requirements and their description."""
    path = services.settings.home / "cache" / "worker" / filename
    if not _PACKAGE_FILE.match(filename) or not path.is_file():
        raise NotFound(f"no such package file: {filename}")
    return Response(path.read_bytes(), content_type="application/octet-stream")


HANDLERS: dict[str, Any] = {
    "healthz": healthz,
    "readyz": readyz,
    "metrics": metrics,
    "openapi": openapi,
    "docs": docs,
    "installer": installer,
    "worker_wheel": worker_wheel,
}
