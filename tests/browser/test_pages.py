"""What holds for every page: accessible, locked down, at home on a telephone, and open about a lost master."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dockercomp.protocol import bundle
from dockercomp.protocol.messages import Failure
from dockercomp.protocol.orders import InputSpec, PlotSpec, ProgramSpec
from dockercomp.protocol.views import GroupChange, GroupRule, GroupView
from tests.browser.conftest import AXE, Visitor
from tests.browser.simulated_worker import SimulatedWorker
from tests.integration.masters import RunningMaster
from tests.waiting import wait_until

Paths = dict[str, str]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": PHONE,
}


NARROW = ("overview", "client", "group", "result", "question")
"""Pages whose accessibility is looked at on a telephone too; the others differ there in width alone."""


@pytest.fixture
def paths(worker: Callable[..., SimulatedWorker], job: Callable[..., str], master: RunningMaster) -> Iterator[Paths]:
    """Every page, with something on it."""
    everybody = GroupChange(rule=GroupRule(), order=1000)
    master.admin().call("group_set", GroupView, everybody, group="everybody")
    failed = job("failing", quorum=1, retries=1, chunks=1)
    worker().fail(1, Failure(reason="exit", message="exit code 3", exit_code=3, log_head="boom"))
    done = job("files", quorum=1, chunks=2, map=ProgramSpec(command=["x"], outputs=["*"]), plots=[PlotSpec(kind="bar")])
    worker().work(2, lambda lease: bundle.pack([("n.tsv", b"en\t1\nde\t2\n"), (f"{lease.start}.txt", b"x" * 9)]))
    running = job("running", chunks=1000)
    first = worker("a-machine-with-quite-a-long-name.example.org", job=running)
    odd = worker(version="0.0.1")
    odd.problems = ["configuration, line 12: DC_CPUS=four is no number: 4 stays in force"]
    odd.apply(odd.sync().allocation, verified=False, cpus=("failed", "Docker's words"), memory=("waiting", "a chunk"))
    for each in (first, odd):
        each.work(10)
    chunk = f"{running}.0.000000000000"
    asking = ProgramSpec(question="What is it?", choices=["cat", "dog"])
    people = job("labels", input=InputSpec(split="files"), map=asking, image="", files={"a.txt": b"Meow"})
    yield {
        "overview": "/",
        "clients": "/clients",
        "groups": "/groups",
        "group": "/groups/everybody",
        "client": f"/clients/{first.id}",
        "client with problems": f"/clients/{odd.id}",
        "jobs": "/jobs",
        "running job": f"/jobs/{running}",
        "failed job": f"/jobs/{failed}",
        "chunks": f"/jobs/{running}/chunks",
        "chunk": f"/jobs/{running}/chunks/{chunk}",
        "result": f"/jobs/{done}",
        "files": f"/jobs/{done}/files",
        "file": f"/jobs/{done}/file?name=000000000/n.tsv",
        "tasks": "/tasks",
        "question": f"/tasks/{people}",
        "job that asks": f"/jobs/{people}",
        "volunteers": "/volunteers",
        "people": "/people",
        "account": "/account",
        "audit log": "/audit",
    }
    master.admin().request("group_remove", group="everybody")


def violations(page: Page) -> list[str]:
    """What axe finds that is serious or worse."""
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_is_accessible_and_fits_its_screen(
    as_person: Callable[..., Visitor], paths: Paths, screen: str
) -> None:
    person = as_person(**SCREENS[screen])
    person.context.add_init_script(path=AXE)
    page = person.context.new_page()
    wrong: dict[str, list[str]] = {}
    for name, path in paths.items():
        page.goto(person.home + path)
        wrong[name] = violations(page) if screen != "phone" or name in NARROW else []
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wrong[name].append("scrolls sideways")
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize("screen", SCREENS)
def test_the_pages_before_the_login_are_accessible(
    visitor: Callable[..., Visitor], login_link: Callable[[str], str], screen: str
) -> None:
    person = visitor(**SCREENS[screen])
    person.watch.expected = ("410", "404")
    person.context.add_init_script(path=AXE)
    page = person.context.new_page()
    link = login_link("admin").removeprefix(person.home)
    for path in ("/login", link, "/login/used-up", "/no-such-page", "/api/v1/docs"):
        page.goto(person.home + path)
        assert violations(page) == [], path
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), path


def test_every_page_is_locked_down(as_person: Callable[..., Visitor], paths: Paths) -> None:
    person = as_person()
    for path in (*paths.values(), "/login", "/no-such-page", "/api/v1/docs"):
        headers = person.context.request.get(person.home + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, path
        assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path


def test_the_policy_stops_a_script_that_slipped_in(as_person: Callable[..., Visitor]) -> None:
    person = as_person()
    person.watch.expected = ("Content Security Policy",)
    page = person.open("/")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.stolen = 1";
        document.body.append(script);
    }""")
    assert page.evaluate("window.stolen") is None


def test_empty_pages_say_what_to_do_next(as_person: Callable[..., Visitor]) -> None:
    page = as_person().open("/clients?after=zzz")
    expect(page.get_by_text("No more clients")).to_be_visible()
    page.goto(page.url.replace("/clients?after=zzz", "/jobs?before=1.0,j"))
    expect(page.get_by_text("No older jobs")).to_be_visible()


def test_a_part_that_did_not_change_is_left_alone(as_person: Callable[..., Visitor]) -> None:
    page = as_person().open("/jobs")
    with page.expect_response(lambda answer: "part=list" in answer.url) as look:
        page.evaluate("document.querySelector('#part-list').neverReplaced = true")
    assert look.value.status == 204
    assert page.evaluate("document.querySelector('#part-list').neverReplaced") is True


def test_a_lost_master_is_said_and_forgotten_when_it_is_back(as_person: Callable[..., Visitor]) -> None:
    person = as_person()
    person.watch.expected = ("htmx:", "Failed to load resource")
    page = person.open("/")
    warning = page.get_by_text("The master does not answer")
    expect(warning).to_be_hidden()
    page.route("**/*part=*", lambda route: route.abort())
    expect(warning).to_be_visible()
    page.unroute("**/*part=*")
    expect(warning).to_be_hidden()


def test_a_logged_out_page_goes_to_the_login_by_itself(
    as_person: Callable[..., Visitor], master: RunningMaster
) -> None:
    person = as_person()
    person.watch.expected = ("401", "htmx:responseError", "Response Status Error")
    page = person.open("/")

    def logged_out() -> bool:
        person.context.clear_cookies()  # again, as an answer that was on its way may have renewed one
        return page.get_by_role("heading", name="Log in").is_visible()

    wait_until(logged_out)


def test_the_keyboard_reaches_the_content_first(as_person: Callable[..., Visitor]) -> None:
    page = as_person().open("/clients")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_pages_work_without_scripts(as_person: Callable[..., Visitor], worker: Callable[..., SimulatedWorker]) -> None:
    made = worker()
    page = as_person(java_script_enabled=False).open(f"/clients/{made.id}")
    page.get_by_role("spinbutton", name="Containers").fill("3")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("3 containers, 1 CPUs and 1 GiB each").first).to_be_visible()
    assert made.sync().allocation.containers == 3
