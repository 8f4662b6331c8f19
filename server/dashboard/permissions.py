"""Who may do what on the dashboard: every form, by its endpoint, and the one rule of pages.

Pages are for everybody with an account, each shown what they may see: a page whose address names a job or a chunk is
there for those who see that job. A form without a line here stops the master at its start.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from flask import Flask, request
from flask_login import current_user

from dockercomp.protocol.errors import BY_STATUS
from dockercomp.protocol.people import Scope
from server.api import auditing
from server.api.authentication import check_jobs, check_scope, in_session
from server.api.services import Services
from server.dashboard.doors import to_login

View = Callable[..., Any]


@dataclass(frozen=True)
class Form:
    """What sending it needs, and what the audit log calls it; with an empty kind it leaves no entry."""

    needs: Scope
    kind: str


FORMS: dict[str, Form] = {
    # one's own, for viewers too
    "account.password": Form("read", "password"),
    "account.logout": Form("read", "person_logout"),
    "account.token_made": Form("read", "token_create"),
    "account.token_revoked": Form("read", "token_revoke"),
    # scientists
    "jobs.cancel": Form("submit", "job_cancel"),
    "jobs.retry": Form("submit", "job_retry"),
    "jobs.remove": Form("submit", "job_remove"),
    "tasks.answer": Form("submit", ""),
    "tasks.link": Form("submit", "answer_link"),
    # admins
    "clients.allocate": Form("admin", "client_allocate"),
    "clients.restore": Form("admin", "client_allocate"),
    "clients.follow": Form("admin", "client_follow"),
    "clients.tag": Form("admin", "client_tags"),
    "groups.add": Form("admin", "group_set"),
    "groups.change": Form("admin", "group_set"),
    "groups.delete": Form("admin", "group_remove"),
    "clients.retire": Form("admin", "client_remove"),
    "clients.forgive": Form("admin", "client_forgive"),
    "people.add": Form("admin", "person_add"),
    "people.role": Form("admin", "person_role"),
    "people.remove": Form("admin", "person_remove"),
    "people.link": Form("admin", "person_link"),
    "people.logout": Form("admin", "person_logout"),
    "people.token_revoked": Form("admin", "token_revoke"),
    "volunteers.invite": Form("admin", "enrolment_token"),
    "volunteers.revoke": Form("admin", "enrolment_token_revoke"),
}
ADMINS_PAGES = frozenset({"people.people", "audit.audit", "groups.groups", "groups.group"})
OF_ANY_JOB = frozenset({"tasks.ask", "tasks.answer", "tasks.content"})
"""A job that asks people asks everybody who may answer: its questions are there for others than its owner too."""


def guard(app: Flask, services: Services, blueprints: Collection[str]) -> None:
    """Put the rule before every view of these blueprints. Raises LookupError where forms and views differ."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.partition(".")[0] in blueprints]
    forms = {rule.endpoint for rule in rules if (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}}
    if forms != set(FORMS):
        raise LookupError(f"permissions.FORMS and the dashboard's forms differ: {sorted(forms ^ set(FORMS))}")
    for endpoint in {rule.endpoint for rule in rules}:
        view = app.view_functions[endpoint]
        app.view_functions[endpoint] = wraps(view)(partial(_view, services, endpoint, view))


def _view(services: Services, endpoint: str, view: View, **parts: str) -> Any:
    if not current_user.is_authenticated:
        return to_login()
    form = FORMS.get(endpoint)
    needed: Scope = form.needs if form else "admin" if endpoint in ADMINS_PAGES else "read"
    with auditing.entry(services, form.kind if form else "", parts):
        caller = auditing.by(in_session(request))
        check_scope(caller, needed)
        if endpoint not in OF_ANY_JOB:
            check_jobs(caller, services, parts, changes=needed != "read")
        answer = view(**parts)
        status = getattr(answer, "status_code", 200)
        if status >= 400:
            auditing.note(outcome=BY_STATUS[status].code if status in BY_STATUS else "bad_request")
        return answer
