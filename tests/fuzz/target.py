"""A master full of things, requests to it, and what no answer may be."""

import hashlib
import io
import json
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import jsonschema_rs
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app

from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.routes import BY_NAME
from dockercomp.protocol.views import GroupChange, GroupRule, SubmitRequest
from server.allocating import Allocating
from server.api import openapi
from server.api.services import Services
from server.dashboard.headers import POLICY
from server.grouping import Grouping
from server.store.credentials import token_id
from tests.integration.people_parts import PEOPLE, World, world

CPU_DEADLINE_S = 20.0
"""Of one request; what only waits is ended by the test's own time limit."""
_FRESH_FOR = 200
"""Requests after which the master's things are made anew: some of them remove some."""


@dataclass(frozen=True)
class Asking:
    """One request. `path` and `query` are as they travel; `caller` is one of Target.callers, or a person's session."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = "application/json"
    caller: str = "nobody"
    session: str = ""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    endpoint: str

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


class Hang(AssertionError):
    """A request computed for longer than any may."""


@dataclass
class Target:
    world: World
    things: dict[str, list[str]] = field(default_factory=dict)
    """Values that exist, by the name that a path calls them by."""
    asked: int = 0
    _renewed: int = -_FRESH_FOR
    document: dict[str, Any] = field(init=False)
    _schemas: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.document = openapi.document("http://localhost")

    @property
    def services(self) -> Services:
        found: Services = self.world.app.extensions["dockercomp"]
        return found

    def renew(self) -> None:
        """Everything as at the beginning: a job that runs, one that is completed, leases, an upload, people, tokens."""
        self._renewed = self.asked
        self.world.reset()
        self.services.pace.PER_S = self.services.pace.AT_ONCE = 1e12  # type: ignore[misc]  # bounded elsewhere
        master, store = self.world.master, self.world.store
        ended, running = master.submit(3, quorum=1), ""
        volunteer = self.world.volunteers["client"]
        volunteer.work(), volunteer.work(0)
        spec = JobSpec(
            name="more",
            image="i",
            input=InputSpec(split="range", start=0, stop=50, per_chunk=1),
            map=ProgramSpec(command=["true"]),
            verify=VerifySpec(policy="adaptive"),
        )
        running = str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])
        leases = [lease.id for lease in volunteer.send(volunteer.request(3)).leases]
        Grouping(store, Allocating(store)).put("lab", GroupChange(rule=GroupRule(tags=["lab"])), None, "root")
        data = b"an upload"
        digest = hashlib.sha256(data).hexdigest()
        store.blobs.append(digest, 0, len(data), data)
        tokens = [str(each["_id"]) for each in store.database["credentials"].find({}, {"_id": 1})]
        self.things = {
            "job": [ended, running],
            "chunk": [f"{ended}.0.000000000000", f"{running}.0.000000000001"],
            "subject": [ended, running, f"{ended}.0.000000000000", volunteer.id],
            "lease": leases,
            "digest": [digest],
            "client": [each.id for each in self.world.volunteers.values()],
            "group": ["lab"],
            "person": list(PEOPLE),
            "token": [token_id(each) for each in tokens],
            "number": ["1"],
            "filename": ["requirements.txt"],
            "key": ["0" * 64],
        }

    def fresh(self) -> None:
        """Renew what many requests have worn out. Called before a request is made of what there is."""
        if self.asked - self._renewed >= _FRESH_FOR:
            self.renew()

    def ask(self, asking: Asking) -> Answer:
        """What the master answers; a fault of its fails the test, with the request."""
        self.fresh()
        self.asked += 1
        answer = self._answered(asking)
        wrong = self.faults(asking, answer)
        assert not wrong, f"{wrong}\n{asking}\n{answer.status} {answer.body[:2000]!r}"
        return answer

    def _answered(self, asking: Asking) -> Answer:
        with _bounded():
            body, status, headers = run_wsgi_app(self.world.app.wsgi_app, self._environ(asking), buffered=True)
        found = {name.lower(): value for name, value in headers}
        return Answer(int(status.split()[0]), found, b"".join(body), self._endpoint(asking))

    def _environ(self, asking: Asking) -> dict[str, Any]:
        token = self.world.callers.get(asking.caller, "")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": asking.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(asking.path).decode("latin-1"),
            "QUERY_STRING": asking.query,
            "RAW_URI": f"{asking.path}?{asking.query}",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": f"192.0.{self.asked // 250 % 250}.{self.asked % 250}",
            "HTTP_HOST": "localhost",
            "CONTENT_LENGTH": str(len(asking.body)),
            "CONTENT_TYPE": asking.content_type,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(asking.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        if asking.session:
            environ["HTTP_COOKIE"] = f"session={self._cookie(asking.session)}"
        for name, value in asking.headers.items():
            plain = name.upper().replace("-", "_")
            key = plain if plain in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{plain}"
            environ[key] = value if max(value, default="") < "\u0100" else value.encode().decode("latin-1")
        return environ

    def _cookie(self, person: str) -> str:
        found = self.world.people.by_name(person)
        serializer = self.world.app.session_interface.get_signing_serializer(self.world.app)  # type: ignore[attr-defined]
        return str(serializer.dumps({"_user_id": found.get_id() if found else ""}))

    def _endpoint(self, asking: Asking) -> str:
        path = unquote_to_bytes(asking.path).decode(errors="replace")
        try:
            return str(self.world.app.url_map.bind("localhost").match(path, asking.method)[0])
        except HTTPException:
            return ""

    # --- what no answer may be ---------------------------------------------------------------------------------------

    def faults(self, asking: Asking, answer: Answer) -> str:
        """What is wrong with an answer; empty where nothing is."""
        if answer.status >= 500 and not _told(answer):
            return "the master failed"
        if b"Traceback (most recent" in answer.body:
            return "an answer shows the inside"
        if answer.headers.get("x-content-type-options") != "nosniff":
            return "a browser may guess what the answer is"
        if answer.media == "text/html" and answer.headers.get("content-security-policy") != POLICY:
            return "a page without its policy"
        if 300 <= answer.status < 400 and not _ours(answer.headers.get("location", "")):
            return "a way to another host"
        if asking.method in ("HEAD", "OPTIONS"):
            return ""
        return self._undocumented(answer)

    def _undocumented(self, answer: Answer) -> str:
        route = BY_NAME.get(answer.endpoint.removeprefix("api."))
        if route is None or not answer.endpoint.startswith("api.") or 300 <= answer.status < 400:
            return ""
        if answer.status >= 400:
            if answer.media != "application/problem+json":
                return "an error that is no problem+json"
            return self._unlike("Problem", {"$ref": "#/components/schemas/Problem"}, answer)
        if route.answer is None:
            return ""
        operation = self.document["paths"][re.sub(r"<(\w+)>", r"{\1}", route.path)][route.method.lower()]
        schema = operation["responses"]["2XX"]["content"]["application/json"]["schema"]
        return self._unlike(route.name, schema, answer)

    def _unlike(self, name: str, schema: dict[str, Any], answer: Answer) -> str:
        if name not in self._schemas:
            whole = {**schema, "components": self.document["components"]}
            self._schemas[name] = jsonschema_rs.validator_for(whole)
        try:
            value = json.loads(answer.body)
        except ValueError:
            return "an answer that is no JSON"
        wrong = next(iter(self._schemas[name].iter_errors(value)), None)
        return f"an answer unlike its schema: {wrong}" if wrong else ""


def _told(answer: Answer) -> bool:
    """Whether an error of the 500s is one that is documented: somebody else's server did not answer, or try again."""
    return answer.status in (502, 503, 504) and answer.media == "application/problem+json"


def _ours(location: str) -> bool:
    parts = urlsplit(location)
    return parts.netloc in ("", "localhost") and not location.startswith(("//", "/\\"))


@contextmanager
def _bounded() -> Iterator[None]:
    def hangs(number: int, frame: FrameType | None) -> None:
        raise Hang(f"a request computed for over {CPU_DEADLINE_S:.0f} s")

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, CPU_DEADLINE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def target(mongo_uri: str, home: Path) -> Iterator[Target]:
    with world(mongo_uri, home) as found:
        yield Target(found)
