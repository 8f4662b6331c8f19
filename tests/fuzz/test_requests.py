"""Odd requests to every route and every page, by every kind of caller: no failure, no hang, answers as documented."""

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from dockercomp.protocol.parts import content_digest
from dockercomp.protocol.routes import ROUTES, Route
from server.dashboard.permissions import FORMS
from tests.fuzz import bodies, odd
from tests.fuzz.conftest import share
from tests.fuzz.target import Asking, Target
from tests.integration.people_parts import PASSWORD, PEOPLE

_SERVER = Path(__file__).resolve().parents[2] / "server"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X")


def names_read(kind: str) -> list[str]:
    """What the master's code reads of queries (`args`) or forms (`form`): so that new ones are found here too."""
    found: set[str] = set()
    for file in (*(_SERVER / "api").glob("*.py"), *(_SERVER / "dashboard").glob("*.py")):
        code = file.read_text()
        found.update(re.findall(rf"""\b{kind}(?:\.get(?:list)?\(|\[)"([\w-]+)\"""", code))
        found.update(re.findall(r"^    (\w+) = \w+Field\(", code, re.MULTILINE) if kind == "form" else ())
    return sorted(found | ({"offset", "size", "person", "subject", "since", "until"} if kind == "args" else set()))


QUERIES, FIELDS = names_read("args"), names_read("form")


def path_of(pattern: str, here: Target, random: Random) -> str:
    def part(name: re.Match[str]) -> str:
        real = here.things.get(name[1])
        if real and random.random() < 0.75:
            return random.choice(real)
        return odd.quoted(odd.text(random), random)

    path = re.sub(r"<(?:\w+:)?(\w+)>", part, pattern)
    return path if random.random() < 0.97 else random.choice(("", "/", "//", "/.", "/..;/", "/%00")) + path


def caller_of(route: Route, here: Target, random: Random) -> str:
    fitting = {"client": ("client",), "public": ("nobody",), "user or client": ("ada", "client")}.get(
        route.who, ("root", "ada")
    )
    return random.choice(fitting) if random.random() < 0.8 else random.choice(sorted(here.world.callers))


def of_a_route(here: Target, random: Random) -> Asking:
    route = random.choice(ROUTES)
    real = bodies.of(here).get(route.name, b"")
    body = odd.body(real, random) if random.random() < 0.85 else real
    query, headers = odd.query(QUERIES, random), odd.headers(random)
    if route.name == "blob_put" and random.random() < 0.7:
        body, query = (
            random.randbytes(random.randrange(30)),
            f"offset={random.choice((0, 9, 2**44))}&size={random.choice((0, 9, 30, 2**44))}",
        )
        headers["Content-Digest"] = content_digest(body)
    return Asking(
        route.method if random.random() < 0.95 else random.choice(_METHODS),
        path_of(route.path, here, random),
        query,
        headers,
        body,
        caller=caller_of(route, here, random),
        session=random.choice((*PEOPLE, "")) if random.random() < 0.05 else "",
    )


def of_a_page(
    here: Target,
    random: Random,
    pages: Sequence[tuple[str, str]],
    sessions: Sequence[str] = (*PEOPLE, "root", "ada", ""),
) -> Asking:
    method, pattern = random.choice(pages)
    fields = "&".join(f"{name}={value}" for name, value in form_of(random))
    kind, body = "application/x-www-form-urlencoded", fields.encode()
    if random.random() < 0.1:
        kind, body = "multipart/form-data; boundary=x", odd.body(_MULTIPART, random)
    return Asking(
        method if random.random() < 0.95 else random.choice(_METHODS),
        path_of(pattern, here, random),
        odd.query(QUERIES, random),
        {"Accept": "text/html", **odd.headers(random)},
        body if method == "POST" else b"",
        kind,
        session=random.choice(sessions),
    )


def form_of(random: Random) -> list[tuple[str, str]]:
    """Every field there is, a few of them odd: so that what comes after the first check is reached too."""
    found = [
        (name, random.choice(_PLAIN.get(name, ("1",))).replace(" ", "+")) for name in FIELDS if random.random() < 0.95
    ]
    for _ in range(random.randrange(3)):
        found.append((random.choice(FIELDS), odd.quoted(odd.text(random), random)))
    random.shuffle(found)
    return found


_PLAIN = {
    "name": ("zoe", "ada", "root"),
    "role": ("viewer", "admin"),
    "scope": ("read", "submit"),
    "reason": ("new memory",),
    "memory": ("512",),
    "password": (PASSWORD,),
    "again": (PASSWORD,),
    "old": (PASSWORD,),
}
_MULTIPART = b'--x\r\nContent-Disposition: form-data; name="name"; filename="x"\r\n\r\nvalue\r\n--x--\r\n'


def pages_of(here: Target) -> list[tuple[str, str]]:
    return [
        (method, rule.rule)
        for rule in here.world.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if not rule.endpoint.startswith("api.")
    ]


def test_the_names_that_are_read_are_found() -> None:
    assert {"cursor", "limit", "lease", "stage", "part", "offset"} <= set(QUERIES)
    assert {"reason", "days", "answer", "role", "password", "memory"} <= set(FIELDS)


@pytest.mark.parametrize("seed", range(4))
def test_odd_requests_to_the_api(here: Target, seed: int) -> None:
    random = Random(f"api {seed}")
    here.renew()
    for _ in range(share(0.11)):
        here.ask(of_a_route(here, random))


# Werkzeug leaves it to the garbage collector to close what came as a form's file.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(2))
def test_odd_requests_to_pages_and_forms(here: Target, seed: int) -> None:
    random, pages = Random(f"pages {seed}"), pages_of(here)
    assert len([each for each in pages if each[0] == "POST"]) >= len(FORMS)
    here.renew()
    for _ in range(share(0.11)):
        here.ask(of_a_page(here, random, pages))
