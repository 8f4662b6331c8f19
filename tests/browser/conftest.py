"""A real master, a real browser, and watched pages: any error, policy violation or foreign request fails the test."""

import hashlib
import io
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.views import InputFile, JobView, SubmitRequest
from server.people import People, Role
from tests.browser.simulated_worker import SimulatedWorker
from tests.integration.masters import RunningMaster, running_master

PATIENCE_MS = 20_000
"""Until something that must come is given up: a bound, as the machine may have other work."""
expect.set_options(timeout=PATIENCE_MS)
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PASSWORDS: dict[str, str] = {"viola": "a viewer's password", "sam": "a scientist's password"}
ROLES: dict[str, Role] = {"viola": "viewer", "sam": "scientist"}


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("master") / "home") as started:
        store = started.store()
        people = People(store)
        for name, password in PASSWORDS.items():
            people.add(name, ROLES[name], password)
        store.images.register(
            {
                "_id": "dockercomp/python linux/amd64",
                "name": "dockercomp/python",
                "platform": "linux/amd64",
                "config_digest": "sha256:" + "1" * 64,
                "archive": "2" * 64,
                "size": 1,
                "created": time.time(),
            }
        )
        store.database.client.close()
        yield started


@pytest.fixture(scope="session")
def login_link(master: RunningMaster) -> Iterator[Callable[[str], str]]:
    """Makes a one-time login link for a user."""
    store = master.store()
    yield lambda name: People(store).login_link(name, master.url)
    store.database.client.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@dataclass
class Watch:
    """What a context's pages did that they must not. `expected` are console errors that a test provokes."""

    home: str
    expected: tuple[str, ...] = ()
    wrong: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in self.expected):
            self.wrong.append(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def request(self, request: Request) -> None:
        target = urlsplit(request.url)
        if target.netloc != urlsplit(self.home).netloc and target.scheme not in ("data", "blob"):
            self.wrong.append(f"request to another host: {request.url}")

    def follow(self, page: Page) -> None:
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        page.on("request", self.request)


@dataclass
class Visitor:
    """One person at one browser."""

    context: BrowserContext
    watch: Watch
    home: str

    def open(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.goto(self.home + path)
        return page


@pytest.fixture
def visitor(browser: Browser, master: RunningMaster) -> Iterator[Callable[..., Visitor]]:
    """Opens browsers of their own, which must have done nothing wrong by the end of the test."""
    made: list[Visitor] = []

    def make(**options: object) -> Visitor:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        watch = Watch(master.url)
        context.on("page", watch.follow)
        made.append(Visitor(context, watch, master.url))
        return made[-1]

    yield make
    for each in made:
        each.context.close()
    assert [wrong for each in made for wrong in each.watch.wrong] == []


@pytest.fixture(scope="session")
def session_of(browser: Browser, login_link: Callable[[str], str]) -> Callable[[str], Any]:
    """The cookies of someone who is logged in; each logs in once, by a link."""

    @cache
    def log_in(name: str) -> Any:
        context = browser.new_context()
        page = context.new_page()
        page.goto(login_link(name))
        page.get_by_role("button", name=f"Log in as {name}").click()
        page.get_by_role("button", name="Log out").wait_for()
        state = context.storage_state()
        context.close()
        return state

    return log_in


@pytest.fixture
def as_person(visitor: Callable[..., Visitor], session_of: Callable[[str], Any]) -> Callable[..., Visitor]:
    """A browser in which someone is logged in."""
    return lambda name="admin", **options: visitor(storage_state=session_of(name), **options)


@pytest.fixture
def worker(master: RunningMaster) -> Iterator[Callable[..., SimulatedWorker]]:
    """Makes clients that have synced once; they retire at the end of the test."""
    started: list[SimulatedWorker] = []

    def make(hostname: str = "", **options: object) -> SimulatedWorker:
        hostname = hostname or f"pc-{secrets.token_hex(3)}"
        made = SimulatedWorker(master.url, master.enrolment_token(), hostname, **options)  # type: ignore[arg-type]
        made.apply(made.sync().allocation)
        made.sync()
        started.append(made)
        return made

    yield make
    for each in started:
        each.retire()


@pytest.fixture
def job(master: RunningMaster) -> Iterator[Callable[..., str]]:
    """Submits jobs, by default over ranges; cancelled at the end of the test."""
    admin, made = master.admin(), []

    def upload(data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        admin.upload(digest, len(data), io.BytesIO(data))
        return digest

    def make(
        name: str = "numbers",
        chunks: int = 4,
        quorum: int = 2,
        retries: int = 3,
        files: Mapping[str, bytes] = MappingProxyType({}),
        **changes: object,
    ) -> str:
        options: dict[str, object] = {
            "image": "dockercomp/python",
            "input": InputSpec(split="range", start=0, stop=chunks, per_chunk=1),
            "map": ProgramSpec(command=["python3", "pi.py", "{start}", "{stop}"]),
            "verify": VerifySpec(policy="quorum" if quorum > 1 else "none", quorum=quorum),
            "reuse": False,
            **changes,
        }
        spec = JobSpec(name=name, retries=retries, **options)  # type: ignore[arg-type]
        inputs = [InputFile(name=name, digest=upload(data), size=len(data)) for name, data in files.items()]
        made.append(admin.call("submit", JobView, SubmitRequest(spec=spec, inputs=inputs)).id)
        return made[-1]

    yield make
    for each in made:
        with suppress(NotFound):  # some tests remove theirs
            admin.call("job_cancel", JobView, job=each)
