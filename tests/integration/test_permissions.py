"""Who may call what: each route and each page, as every kind of caller. A new one without a rule here fails."""

import re
import secrets
from collections.abc import Iterator, Mapping

import msgspec
import pytest
from werkzeug.test import TestResponse

from dockercomp.protocol.messages import EnrolRequest
from dockercomp.protocol.routes import ROUTES, UNAUDITED, Route
from server.audit import Asked, Audit
from server.dashboard.permissions import FORMS
from tests.integration.people_parts import World, world
from tests.integration.simulated import CEILING, MACHINE

IN, UNKNOWN, FORBIDDEN, MISSING = "let in", "401", "403", "404"

_NO_PERSON = {"client": FORBIDDEN, "other client": FORBIDDEN}
_STRANGERS = {"nobody": UNKNOWN, "ended token": UNKNOWN}
_ALL_PEOPLE = dict.fromkeys(
    ("root", "ada", "eve", "viola", "ada to read", "ada to submit", "root to read", "root to submit"), IN
) | {"root for own jobs": IN}
_NO_CLIENT = dict.fromkeys(_ALL_PEOPLE, FORBIDDEN)
_NOT_TO_SUBMIT = {"viola": FORBIDDEN, "ada to read": FORBIDDEN, "root to read": FORBIDDEN}
_OTHERS_JOB = {"eve": MISSING, "root for own jobs": MISSING}

RULES: Mapping[str, Mapping[str, str]] = {
    "everybody": dict.fromkeys((*_ALL_PEOPLE, *_STRANGERS, *_NO_PERSON), IN),
    "clients": {**_STRANGERS, **_NO_CLIENT, "client": IN, "other client": IN},
    "the lease's client": {**_STRANGERS, **_NO_CLIENT, "client": IN, "other client": FORBIDDEN},
    "people": {**_STRANGERS, **_NO_PERSON, **_ALL_PEOPLE},
    "people who submit": {**_STRANGERS, **_NO_PERSON, **_ALL_PEOPLE, **_NOT_TO_SUBMIT},
    "who sees the job": {**_STRANGERS, **_NO_PERSON, **_ALL_PEOPLE, **_OTHERS_JOB},
    "who sees or runs the job": {
        **_STRANGERS, **_ALL_PEOPLE, **_OTHERS_JOB, "client": IN, "other client": MISSING,
    },
    "who may change the job": {
        **_STRANGERS, **_NO_PERSON, **_ALL_PEOPLE, **_OTHERS_JOB, **_NOT_TO_SUBMIT, "root to submit": FORBIDDEN,
    },
    "admins": {**_STRANGERS, **_NO_PERSON, **_NO_CLIENT, "root": IN},
}  # fmt: skip

OF_ROUTES = {
    "everybody": "healthz readyz metrics openapi docs installer worker_wheel enrol master_keys",
    "clients": "sync client_retire",
    "the lease's client": "lease_input lease_pieces",
    "people": "jobs images clients client client_load identity tokens scientist_keys scientist_key blob_status",
    "people who submit": "blobs_missing submit job_forecast image_register image_pull token_create token_revoke"
    " scientist_key_register scientist_key_revoke blob_put",
    "who sees the job": "job explain job_result job_chunks job_files job_file job_archive job_plot chunk chunk_result"
    " job_running job_stream job_receipt chunk_receipt job_receipts job_speedup",
    "who sees or runs the job": "job_program job_image",
    "who may change the job": "job_cancel job_retry job_remove",
    "admins": "client_allocate client_follow client_history client_tags groups group group_set group_remove"
    " group_members client_remove client_forgive enrolment_token enrolment_tokens enrolment_token_revoke"
    " login_link people quota quota_set person_add person_role person_remove person_link person_logout audit",
}
RULE_OF = {route: rule for rule, routes in OF_ROUTES.items() for route in routes.split()}

QUERIES = {"blob_put": "?offset=0&size=1"}
"""Clients may upload what they are awaited to, and here that is nothing."""
BODIES = {"token_create": b'{"scope":"read","own":true}'}
"""What gives no more than any caller has."""


@pytest.fixture(scope="module")
def here(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(mongo_uri, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def parts(here: World) -> Iterator[dict[str, str]]:
    """What a path may name: a job of ada's, of which `client` holds a lease; the rest is of nobody."""
    job = here.master.submit(3, quorum=1)
    client = here.volunteers["client"]
    answer = client.send(client.request(2))
    lease = next(each.id for each in answer.leases if each.job == job)
    names = {"job": job, "chunk": f"{job}.0.000000000000", "subject": job, "lease": lease, "digest": "0" * 64}
    yield names | {"client": "c0", "person": "nobody", "token": "t0", "number": "1", "filename": "x", "key": "0" * 64}
    here.store.jobs.end(job, "cancelled", {"error": "cancelled"})
    client.held.clear()


def outcome(answer: TestResponse) -> str:
    """How the caller was judged: what comes after it was let in (a bad body, nothing there) is not asked here."""
    if answer.status_code in (401, 403):
        return str(answer.status_code)
    refused = answer.status_code == 404 and re.search(r"no job \w+ of yours|holds no lease", answer.text)
    return MISSING if refused else IN


def filled(path: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda name: parts.get(name[1], "x"), path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_route_lets_in_whom_it_should(here: World, parts: dict[str, str], route: Route) -> None:
    expected = RULES[RULE_OF[route.name]]
    assert expected.keys() == here.callers.keys(), "every kind of caller is asked about"
    path, body = filled(route.path, parts) + QUERIES.get(route.name, ""), BODIES.get(route.name, b"{}")
    callers = dict(here.callers)
    if route.name == "client_retire":
        callers |= {name: here.enrolled()[1] for name in here.volunteers}
    found = {
        caller: outcome(here.call(route.method, path, callers[caller], data=body))
        for caller in sorted(expected, key=lambda caller: expected[caller] == IN)  # those let in may change things
    }
    assert found == dict(expected)


def test_every_route_that_changes_something_is_in_the_audit_log(here: World, parts: dict[str, str]) -> None:
    _, retiring = here.enrolled()
    for route in (each for each in ROUTES if each.method not in ("GET", "HEAD")):
        caller = retiring if route.who == "client" else here.callers["root"]
        body = b"{}" if route.name != "enrol" else enrolment(here)
        here.call(route.method, filled(route.path, parts), caller, data=body)
    kinds = {entry.kind for entry in Audit(here.store).page(Asked(), limit=500).entries}
    changing = {route.name for route in ROUTES if route.method not in ("GET", "HEAD")}
    assert changing - set(UNAUDITED) <= kinds
    assert not kinds & set(UNAUDITED)
    assert set(UNAUDITED) <= changing, "nothing is excused that is not there"


def enrolment(here: World) -> bytes:
    request = EnrolRequest(token=here.master.token, machine=MACHINE, ceiling=CEILING, request=secrets.token_hex(8))
    return msgspec.json.encode(request)


# --- the dashboard ---------------------------------------------------------------------------------------------------

_TO_LOGIN = "to the login"
_ALL = {"nobody": _TO_LOGIN, "root": IN, "ada": IN, "eve": IN, "viola": IN}
PAGE_RULES: Mapping[str, Mapping[str, str]] = {
    "everybody": dict.fromkeys(_ALL, IN),
    "people": _ALL,
    "who sees the job": {**_ALL, "eve": MISSING},
    "who may change the job": {**_ALL, "eve": MISSING, "viola": FORBIDDEN},
    "who may answer": {**_ALL, "viola": FORBIDDEN},
    "admins": {**_ALL, "ada": FORBIDDEN, "eve": FORBIDDEN, "viola": FORBIDDEN},
}
OF_PAGES = {
    "everybody": "static doors.login doors.login_by_password doors.link doors.login_by_link doors.password"
    " doors.choose_password doors.favicon doors.logout answers.ask answers.answer answers.content",
    "people": "overview.overview clients.clients clients.client jobs.jobs volunteers.volunteers tasks.tasks"
    " account.account account.password account.logout account.token_made account.token_revoked",
    "who sees the job": "jobs.job results.files results.file results.picture results.answers results.plot chunks.chunks"
    " chunks.chunk chunks.picture",
    "who may change the job": "jobs.cancel jobs.retry jobs.remove tasks.link",
    "who may answer": "tasks.ask tasks.answer tasks.content",
    "admins": "people.people people.add people.role people.remove people.link people.logout people.token_revoked"
    " audit.audit clients.allocate clients.restore clients.follow clients.tag clients.retire clients.forgive"
    " groups.groups groups.add groups.group groups.change groups.delete volunteers.invite volunteers.revoke",
}
PAGE_RULE_OF = {page: rule for rule, pages in OF_PAGES.items() for page in pages.split()}


def pages(here: World) -> list[tuple[str, str, str]]:
    """(endpoint, method, path) of everything that is not the API's."""
    return [
        (rule.endpoint, method, rule.rule)
        for rule in here.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if not rule.endpoint.startswith("api.")
    ]


def judged(answer: TestResponse) -> str:
    if answer.status_code == 303 and "/login" in answer.headers["Location"]:
        return _TO_LOGIN
    return IN if "asked of somebody else" in answer.text else outcome(answer)


def test_each_page_lets_in_whom_it_should(here: World, parts: dict[str, str]) -> None:
    wrong = {}
    for endpoint, method, path in pages(here):
        expected = PAGE_RULES[PAGE_RULE_OF[endpoint]]
        for person in sorted(expected, key=lambda person: expected[person] == IN):
            found = judged(here.browser(person if person != "nobody" else "").open(filled(path, parts), method=method))
            ends_itself = endpoint in ("doors.logout", "account.logout") and found == _TO_LOGIN
            if found != expected[person] and not ends_itself:
                wrong[f"{method} {path} as {person}"] = f"{found}, not {expected[person]}"
    assert wrong == {}


def test_every_form_that_changes_something_is_in_the_audit_log(here: World, parts: dict[str, str]) -> None:
    before = {entry.id for entry in Audit(here.store).page(Asked(), limit=500).entries}
    for endpoint, method, path in pages(here):
        if endpoint in FORMS:
            here.browser("root").open(filled(path, parts), method=method)
    entries = [each for each in Audit(here.store).page(Asked(), limit=500).entries if each.id not in before]
    assert {form.kind for form in FORMS.values() if form.kind} == {entry.kind for entry in entries}
    assert {(entry.person, entry.by) for entry in entries} == {("root", "session")}


@pytest.mark.parametrize("endpoint", sorted(FORMS))
def test_no_form_is_taken_without_its_token(here: World, parts: dict[str, str], endpoint: str) -> None:
    path = next(path for name, _, path in pages(here) if name == endpoint)
    here.app.config["WTF_CSRF_ENABLED"] = True
    try:
        answer = here.browser("root").post(filled(path, parts))
    finally:
        here.app.config["WTF_CSRF_ENABLED"] = False
    assert answer.status_code == 400 and "no longer valid" in answer.text
