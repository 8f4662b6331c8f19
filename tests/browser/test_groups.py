"""Groups of clients, what volunteers' machines tell, and that nothing a client says makes a page unreadable."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.views import ClientView, GroupList, GroupView
from tests.browser.conftest import Visitor
from tests.browser.simulated_worker import SimulatedWorker
from tests.integration.masters import RunningMaster

Worker = Callable[..., SimulatedWorker]


@pytest.fixture(autouse=True)
def no_groups_after(master: RunningMaster) -> Iterator[None]:
    yield
    admin = master.admin()
    for group in admin.call("groups", GroupList).groups:
        admin.request("group_remove", group=group.name)


def members(page: Page) -> Locator:
    return page.get_by_role("region", name="Table of members")


def allocation_of(master: RunningMaster, worker: SimulatedWorker) -> Allocation:
    return master.admin().call("client", ClientView, client=worker.id).allocation


def make_group(page: Page, name: str, tag: str, share: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Tags").fill(tag)
    page.get_by_role("spinbutton", name="Share of each member's ceiling").fill(share)
    page.get_by_role("button", name="Make the group").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def test_a_group_is_made_followed_left_and_followed_again(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made, other, person = worker(), worker(), as_person()
    page = person.open("/groups")
    expect(page.get_by_text("No group yet")).to_be_visible()
    make_group(page, "lab-3", "gpu", "50")
    expect(page.get_by_text("No client fits its rule")).to_be_visible()

    own = person.open(f"/clients/{made.id}")
    own.get_by_role("textbox", name="Tags").fill("gpu attic")
    own.get_by_role("button", name="Save tags").click()
    expect(own.get_by_text("It follows the group lab-3")).to_be_visible()
    given = made.sync().allocation
    assert given.containers * given.cpus == 2.0, "half of the ceiling"
    assert allocation_of(master, other).cpus == 1.0, "another machine keeps what it has"
    made.apply(given)
    made.sync()
    expect(members(page)).to_contain_text(made.hostname)
    expect(members(page)).to_contain_text("verified")

    own.get_by_role("slider", name="Containers").fill("1")
    expect(own.get_by_role("region", name="About this client")).to_contain_text("lab-3, changed alone")
    expect(members(page)).to_contain_text("changed alone")
    own.reload()
    own.get_by_role("button", name="Follow the group again").click()
    expect(own.get_by_text("It follows the group lab-3")).to_be_visible()
    assert made.sync().allocation.containers == given.containers


def test_a_groups_change_reaches_its_members_and_its_end_too(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made, person = worker(), as_person()
    page = person.open("/groups")
    make_group(page, "everybody", "", "25")
    assert allocation_of(master, made).cpus == 0.25
    page.get_by_role("spinbutton", name="Containers").fill("2")
    page.get_by_role("switch", name="Paused").check()
    page.get_by_role("button", name="Apply to all that follow it").click()
    expect(members(page)).to_contain_text("2 containers, 0.5 CPUs and 512 MiB each; paused")
    assert made.sync().allocation.paused
    page.get_by_text("Delete this group").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("No group yet")).to_be_visible()
    assert (allocation_of(master, made).containers, allocation_of(master, made).cpus) == (4, 1.0)


def test_two_admins_of_one_group_the_second_is_told_and_overwrites_nothing(
    as_person: Callable[..., Visitor], master: RunningMaster
) -> None:
    person = as_person()
    person.watch.expected = ("412", "409", "422")
    page = person.open("/groups")
    make_group(page, "lab", "x", "50")
    second = person.open("/groups/lab")
    page.get_by_role("spinbutton", name="Share").fill("60")
    page.get_by_role("button", name="Apply to all").click()
    expect(page.get_by_text("Version 2, by admin")).to_be_visible()
    second.get_by_role("spinbutton", name="Share").fill("70")
    second.get_by_role("button", name="Apply to all").click()
    alert = second.get_by_role("alert").filter(has_text="Someone else changed this group")
    expect(alert).to_contain_text("60 % of its ceiling")
    expect(second.get_by_role("spinbutton", name="Share")).to_have_value("70")
    assert master.admin().call("group", GroupView, group="lab").group.share == 0.6
    second.get_by_role("button", name="Apply to all").click()
    expect(second.get_by_text("Version 3, by admin")).to_be_visible()
    second.get_by_role("spinbutton", name="Share").fill("0")
    second.get_by_role("button", name="Apply to all").click()
    expect(second.locator(".field-error").filter(has_text="The share")).to_be_visible()
    page.goto(f"{person.home}/groups")
    page.get_by_label("Name", exact=True).fill("lab")
    page.get_by_role("button", name="Make the group").click()
    expect(page.get_by_role("alert")).to_contain_text("There is a group of this name already")


def test_a_tag_that_is_not_possible_is_refused_by_its_field(as_person: Callable[..., Visitor], worker: Worker) -> None:
    made, person = worker(), as_person()
    person.watch.expected = ("422",)
    page = person.open(f"/clients/{made.id}")
    page.get_by_role("textbox", name="Tags").fill("Lab*3")
    page.get_by_role("button", name="Save tags").click()
    expect(page.locator("#tags-error")).to_contain_text("lower-case letters")
    expect(page.get_by_role("textbox", name="Tags")).to_have_value("Lab*3")


def test_what_is_wrong_on_the_volunteers_side_and_old_workers_are_shown(
    as_person: Callable[..., Visitor], worker: Worker
) -> None:
    made = worker("misconfigured-pc", version="0.0.1")
    made.problems = ["configuration, line 12: DC_CPUS=four is no number: 4 stays in force"]
    made.sync()
    made.apply(made.sync().allocation, verified=False, memory=("failed", "cannot update container: busy"))
    made.sync()
    page = as_person().open("/")
    attention = page.get_by_role("region", name="Needs a look")
    for words in ("configuration, line 12: DC_CPUS=four", "another version", "cannot update container: busy"):
        expect(attention).to_contain_text(words)
    attention.get_by_role("link", name="misconfigured-pc").click()
    expect(page.get_by_text("configuration, line 12: DC_CPUS=four")).to_be_visible()
    expect(page.get_by_text("Its worker is of another version than this master (0.0.1)")).to_be_visible()
    expect(page.get_by_text("cannot update container: busy")).to_be_visible()
    page.get_by_role("link", name="Clients", exact=True).first.click()
    row = page.get_by_role("row").filter(has_text="misconfigured-pc")
    for words in ("failed", "problem", "old worker"):
        expect(row).to_contain_text(words)


@pytest.mark.parametrize(
    "change",
    [
        {"machine.disk_free": "plenty", "applied.parts": 7},
        {"ceiling.disk": "x", "containers.0.cpus_limit": "two"},
    ],
)
def test_one_odd_value_of_a_client_hides_neither_it_nor_others(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster, change: dict[str, object]
) -> None:
    odd, other = worker("odd-pc"), worker("other-pc")
    store = master.store()
    store.database["clients"].update_one({"_id": odd.id}, {"$set": change})
    store.database.client.close()
    page = as_person().open("/clients")
    for each in (odd, other):
        expect(page.get_by_role("row").filter(has_text=each.id)).to_be_visible()
    for path in (f"/clients/{odd.id}", "/", "/groups"):
        page.goto(page.url.split("/clients")[0].rstrip("/") + path)
        expect(page.locator("main h1").first).to_be_attached()
        expect(page.get_by_text("The master failed")).to_have_count(0)
    page.goto(page.url.replace("/groups", f"/clients/{odd.id}"))
    expect(page.get_by_role("heading", name="odd-pc")).to_be_visible()


def test_a_list_that_an_admin_has_open_asks_for_the_syncs_of_all_on_it(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    shown = [worker() for _ in range(3)]
    as_person("viola").open("/clients")
    with master.store() as store:
        assert not any("watched_until" in (store.clients.by_id(each.id) or {}) for each in shown)
        as_person().open("/clients")
        assert all("watched_until" in (store.clients.by_id(each.id) or {}) for each in shown)
