"""The audit log, for admins: newest first, filtered by what the address asks for."""

from flask import Blueprint, render_template, request

from dockercomp.protocol.routes import ROUTES
from server.api.services import Services
from server.audit import Asked

PAGE = 50
KINDS = sorted(
    {route.name for route in ROUTES if route.audited} | {"login", "logout", "password", "answer_link", "login_link"}
)


def make(services: Services) -> Blueprint:
    pages = Blueprint("audit", __name__, url_prefix="/audit")

    @pages.get("")
    def audit() -> str:
        asked = Asked(**{name: request.args.get(name, "").strip() for name in Asked.__dataclass_fields__})
        before = request.args.get("before", "")
        page = services.audit.page(asked, before, PAGE)
        return render_template("dashboard/audit.html", page=page, asked=asked, before=before, kinds=KINDS)

    return pages
