"""The volunteer's page in a real browser: sliders, saving, pausing, and that anybody can use it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from dockercomp.machine import configuration
from dockercomp.machine.home import lock
from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, ContainerReport, Part, PartReport
from tests.browser.conftest import AXE, Watch
from tests.waiting import wait_until
from worker import status
from worker.page.owner import Owner
from worker.page.serving import Server
from worker.volunteer import read_control

MIB = 2**20


def part(name: Part, actual: str, why: str = "") -> PartReport:
    return PartReport(part=name, state="verified", actual=actual, why=why)


WORKING = status.Status(
    state="working",
    sentence="Running 2 chunks, 1 more at hand.",
    pid=1,
    master="https://master.example",
    client="c1",
    owner="lab",
    last_sync=0.0,
    held=3,
    running=2,
    results_sent=1200,
    ceiling=Ceiling(containers=2, cpus=1.5, memory=2048 * MIB),
    disk_used=900 * MIB,
    network_used=40 * MIB,
    rules=["Hours: mon-fri 18:00-08:00,sat-sun.", "0.5 of 2 cores stays free for you (DC_CPUS says otherwise)."],
    consent=["Runs what the master signed."],
    allocation=Allocation(version=4, containers=2, cpus=1.0, memory=512 * MIB),
    applied=AppliedAllocation(
        version=4,
        containers=2,
        cpus=0.75,
        memory=512 * MIB,
        verified=True,
        parts=[
            part("containers", "2 containers"),
            part("cpus", "0.75 CPUs each", "The volunteer's ceiling allows 0.75 of 1 CPUs each."),
            part("memory", "512 MiB each"),
        ],
    ),
    containers=[
        ContainerReport(
            id=f"{number}" * 12,
            name=f"dc-4f66a1c2b9e0-wordcount-{number}",
            state="running",
            job="6710aa31",
            image="dockercomp/python",
            cpus_planned=0.75,
            memory_planned=512 * MIB,
            chunk=f"map {number}",
            cpus_limit=0.75,
            memory_limit=512 * MIB,
            cpus_used=0.7,
            memory_used=113 * MIB,
            read_from="cgroup v1",
            weight=1024,
        )
        for number in (1, 2)
    ],
    problems=["configuration, line 12: DC_HOURS=never: 'never' is not a day or a range of days."],
)


@dataclass
class Volunteer:
    home: Path
    link: str
    context: Callable[..., Page]

    @property
    def configuration(self) -> dict[str, str]:
        return configuration.read(self.home / "configuration", {})

    def say(self, **changes: object) -> None:
        status.write(self.home, msgspec.structs.replace(WORKING, **changes))


@pytest.fixture
def volunteer(tmp_path: Path, browser: Browser) -> Iterator[Volunteer]:
    """The page of a machine whose worker runs, as far as its files tell."""
    (tmp_path / "worker").mkdir()
    (tmp_path / "configuration").write_text("# mine\nDC_MEMORY=2GiB\n")
    server = Server(Owner(tmp_path, {"DC_HOME": str(tmp_path)}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    opened, watch = [], Watch(server.link.rsplit("/", 2)[0], expected=("422 (Unprocessable",))

    def open_page(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.on("page", watch.follow)
        opened.append(context)
        page = context.new_page()
        page.goto(server.link)
        return page

    with lock(tmp_path, "worker"):
        found = Volunteer(tmp_path, server.link, open_page)
        found.say()
        yield found
    for context in opened:
        context.close()
    server.shutdown()
    thread.join()
    server.server_close()
    assert watch.wrong == []


def test_a_slider_moves_the_ceiling(volunteer: Volunteer) -> None:
    page = volunteer.context()
    slider = page.get_by_role("slider", name="CPUs, all together, slider")
    slider.fill("0.5")
    expect(page.get_by_label("CPUs, all together", exact=True)).to_have_value("0.5")
    page.get_by_label("On battery").select_option("pauses")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved: DC_CPUS, DC_ON_BATTERY.")
    assert volunteer.configuration == {"DC_MEMORY": "2GiB", "DC_CPUS": "0.5", "DC_ON_BATTERY": "no"}
    page.get_by_role("textbox", name="Containers", exact=True).fill("900")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("DC_CONTAINERS=900")
    expect(page.get_by_role("textbox", name="Containers", exact=True)).to_have_value("900")
    assert "DC_CONTAINERS" not in volunteer.configuration


def test_what_changes_is_seen_without_reload_and_pausing_works(volunteer: Volunteer) -> None:
    page = volunteer.context()
    expect(page.get_by_text("Running 2 chunks, 1 more at hand.")).to_be_visible()
    page.get_by_role("textbox", name="Hours", exact=True).fill("sat")
    volunteer.say(sentence="Outside DC_HOURS: goes on at 18:00.", state="paused", containers=[])
    expect(page.get_by_text("Outside DC_HOURS: goes on at 18:00.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Hours", exact=True)).to_have_value("sat")
    page.get_by_role("combobox", name="Pause", exact=True).select_option("for 2 hours")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert read_control(volunteer.home).until is not None
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    wait_until(lambda: not read_control(volunteer.home).paused)


def test_it_works_without_script(volunteer: Volunteer) -> None:
    page = volunteer.context(java_script_enabled=False)
    page.get_by_label("CPUs, all together", exact=True).fill("1.25")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved: DC_CPUS.")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_anybody_can_use_it(volunteer: Volunteer, scheme: str, width: int) -> None:
    page = volunteer.context(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    wrong = [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]]
    assert wrong == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
