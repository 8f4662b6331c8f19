"""Every answer that a browser shows is locked down: nothing inline, no eval, nothing of other hosts, no framing."""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser

import pytest
from werkzeug.test import TestResponse

from server.dashboard.headers import POLICY
from tests.integration.people_parts import World, world
from tests.integration.test_permissions import filled, pages


@pytest.fixture(scope="module")
def here(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(mongo_uri, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def parts(here: World) -> Mapping[str, str]:
    job, client = here.master.submit(3, quorum=1), here.volunteers["client"]
    client.work()
    client.work(0)
    names = {
        "job": job,
        "chunk": f"{job}.0.000000000000",
        "client": client.id,
        "number": "1",
        "filename": "none.css",
    }
    return names | {"secret": "x", "person": "ada", "token": "t", "name": "x"}


def answers(here: World, parts: Mapping[str, str]) -> Iterator[tuple[str, TestResponse]]:
    """Every page and form as an admin and as nobody, once as it is, once of things that are not there; and of the API
    what browsers show."""
    for person in ("root", ""):
        for _, method, path in pages(here):
            for named in (parts, {}):
                address = filled(path, named)
                yield (
                    f"{method} {address} {person}",
                    here.browser(person).open(address, method=method, headers={"Accept": "text/html"}),
                )
        for path in ("/api/v1/docs", "/nowhere", "/api/v1/nowhere", "/static/none", "/jobs/%00", "/api/v1/jobs"):
            yield f"GET {path} {person}", here.browser(person).get(path, headers={"Accept": "text/html"}, buffered=True)
    yield "a method that is not there", here.browser("root").patch("/jobs", headers={"Accept": "text/html"})


class Inline(HTMLParser):
    """What a page would need 'unsafe-inline' or 'unsafe-eval' for, or another host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in told):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            odd = name == "style" or name.startswith(("on", "hx-on", "hx-vals-js")) or "javascript:" in (value or "")
            away = name in ("src", "href", "action") and re.match(r"(https?:)?//", value or "") and tag in _LOADING
            if odd or away:
                self.found.append(f"<{tag} {name}={value}>")


_LOADING = {"script", "link", "img", "iframe", "form", "object", "embed"}


def test_the_policy_allows_nothing_inline_and_no_eval() -> None:
    assert "unsafe" not in POLICY
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["form-action"] == "'self'"


def test_every_page_has_the_policy_and_needs_no_more(here: World, parts: Mapping[str, str]) -> None:
    wrong, seen = [], 0
    for name, answer in answers(here, parts):
        if answer.headers.get("X-Content-Type-Options") != "nosniff":
            wrong.append(f"{name}: sniffed")
        if answer.mimetype != "text/html":
            continue
        seen += 1
        expected = {
            "Content-Security-Policy": POLICY,
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        wrong += [f"{name}: {key}" for key, value in expected.items() if answer.headers.getlist(key) != [value]]
        page = Inline()
        page.feed(answer.text)
        wrong += [f"{name}: {found}" for found in page.found]
    assert wrong == []
    assert seen > 60, "pages were looked at"


def test_a_page_that_fails_has_the_policy_too(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(here.store.jobs, "page", fails)
    for path, kind in (("/jobs", "text/html"), ("/api/v1/jobs", "application/problem+json")):
        answer = here.browser("root").get(path)
        assert (answer.status_code, answer.mimetype) == (500, kind)
        assert "inside" not in answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert kind != "text/html" or answer.headers["Content-Security-Policy"] == POLICY
