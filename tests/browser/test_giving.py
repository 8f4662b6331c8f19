"""What a client is given, as an admin moves it: sent when let go, followed to what was read back, and taken back."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.views import AllocationChange, ClientView
from tests.browser.conftest import Visitor
from tests.browser.simulated_worker import SimulatedWorker
from tests.integration.masters import RunningMaster

Worker = Callable[..., SimulatedWorker]


def move(page: Page, name: str, value: float) -> None:
    """Move a slider and let it go."""
    page.get_by_role("slider", name=name).fill(f"{value:g}")


def type_in(page: Page, name: str, value: str) -> None:
    """Type into a number field and leave it."""
    field = page.get_by_role("spinbutton", name=name)
    field.fill(value)
    field.blur()


def number(page: Page, name: str) -> Locator:
    return page.get_by_role("spinbutton", name=name)


def step(page: Page, name: str) -> Locator:
    """One of: sent, received, applied, verified."""
    return page.locator(".way li").filter(has_text=f"{name}:")


def wanted(page: Page) -> Locator:
    return page.get_by_role("region", name="How far it is carried out").get_by_role("status")


def allocation_of(master: RunningMaster, worker: SimulatedWorker) -> Allocation:
    return master.admin().call("client", ClientView, client=worker.id).allocation


def test_a_slider_that_is_let_go_is_followed_to_what_was_read_back_without_a_reload(
    as_person: Callable[..., Visitor], worker: Worker
) -> None:
    made = worker()
    page = as_person().open(f"/clients/{made.id}")
    page.evaluate("window.neverReloaded = true")
    move(page, "CPUs per container", 0.5)
    expect(wanted(page)).to_contain_text("4 containers, 0.5 CPUs and 1 GiB each")
    expect(wanted(page)).to_contain_text("Wanted by admin")
    expect(step(page, "Sent")).to_contain_text("with its next sync")

    allocation = made.sync().allocation
    expect(step(page, "Sent")).to_contain_text("Sent: done")
    expect(step(page, "Received")).to_contain_text("under way")
    made.apply(allocation, verified=False, memory=("waiting", "dc-2 uses 1100 MiB: after its chunk"))
    made.sync()
    expect(step(page, "Received")).to_contain_text("done")
    expect(step(page, "Applied")).to_contain_text("waiting: ")
    expect(page.get_by_text("dc-2 uses 1100 MiB: after its chunk")).to_be_visible()
    made.apply(allocation)
    made.sync()
    expect(step(page, "Verified")).to_contain_text("Verified: done")
    expect(page.get_by_role("region", name="Table of containers")).to_contain_text("0.45 of 0.5")
    expect(page.get_by_role("region", name="Table of containers")).to_contain_text("CPUs 3")
    assert page.evaluate("window.neverReloaded") is True


def test_the_engines_own_words_are_shown_where_it_refused(as_person: Callable[..., Visitor], worker: Worker) -> None:
    made = worker()
    page = as_person().open(f"/clients/{made.id}")
    move(page, "CPUs per container", 0.5)
    expect(wanted(page)).to_contain_text("0.5 CPUs")
    refusal = "cpu.cfs_quota_us: invalid argument"
    made.apply(made.sync().allocation, verified=False, cpus=("failed", refusal))
    made.sync()
    expect(page.get_by_text(refusal)).to_be_visible()
    expect(step(page, "Applied")).to_contain_text("failed: CPUs")
    expect(step(page, "Verified")).to_contain_text("needs a look")


def test_more_containers_share_what_there_is_and_fewer_get_it_back(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made = worker()
    change = AllocationChange(containers=2, cpus=2.0, memory=1 << 30)
    master.admin().call("client_allocate", Allocation, change, client=made.id)
    page = as_person().open(f"/clients/{made.id}")
    expect(page.get_by_text("2 × 2 = 4 of 4 CPUs, 0 left")).to_be_visible()
    move(page, "Containers", 4)
    expect(number(page, "CPUs per container")).to_have_value("1")
    expect(wanted(page)).to_contain_text("4 containers, 1 CPUs and 1 GiB each")
    assert allocation_of(master, made).cpus == 1.0
    move(page, "Containers", 2)
    expect(number(page, "CPUs per container")).to_have_value("2")
    expect(wanted(page)).to_contain_text("2 containers, 2 CPUs and 1 GiB each")


def test_keys_move_a_slider_too_and_what_was_done_in_its_form_stays(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made = worker()
    page = as_person().open(f"/clients/{made.id}")
    page.get_by_role("slider", name="Containers").focus()
    page.keyboard.press("ArrowLeft")
    expect(wanted(page)).to_contain_text("3 containers")
    expect(page.get_by_role("slider", name="Containers")).to_be_focused()
    page.get_by_text("Disk, jobs, priority, division").click()
    page.get_by_role("textbox", name="Only these jobs").fill("genome-*, pi")
    made.sync()
    expect(step(page, "Sent")).to_contain_text("done")
    expect(page.get_by_role("textbox", name="Only these jobs")).to_have_value("genome-*, pi")
    page.get_by_role("combobox", name="Priority").select_option("high")
    expect(page.locator(".parts")).to_contain_text("high")
    found = allocation_of(master, made)
    assert (found.jobs, found.priority, found.containers) == (["genome-*", "pi"], "high", 3)


def test_pausing_and_resuming(as_person: Callable[..., Visitor], worker: Worker) -> None:
    made = worker()
    page = as_person().open(f"/clients/{made.id}")
    page.get_by_role("switch", name="Paused").check()
    expect(page.get_by_text("each; paused")).to_be_visible()
    assert made.sync().allocation.paused
    page.get_by_role("switch", name="Paused").uncheck()
    expect(page.get_by_text("each; paused")).to_have_count(0)
    assert not made.sync().allocation.paused


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("Containers", "9", "Containers must be between 0 and 4, the volunteer's ceiling."),
        ("CPUs per container", "1.5", "4 containers of 1.5 CPUs: the volunteer's ceiling is 4 in all"),
        ("CPUs per container", "-1", "CPUs per container must be a number from 0.05"),
        ("Memory per container", "2000", "4 containers of 2000 MiB: the volunteer's ceiling is 4096 MiB in all"),
        ("Memory per container", "0", "Memory per container must be from 16 MiB"),
        ("Containers", "", "Enter a whole number."),
    ],
)
def test_a_value_that_is_not_possible_is_refused_by_its_field_and_nothing_changes(
    as_person: Callable[..., Visitor],
    worker: Worker,
    master: RunningMaster,
    field: str,
    value: str,
    message: str,
) -> None:
    made, person = worker(), as_person()
    person.watch.expected = ("422",)
    before = allocation_of(master, made)
    page = person.open(f"/clients/{made.id}")
    type_in(page, field, value)
    expect(number(page, field)).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".field-error").filter(has_text=message)).to_be_visible()
    assert allocation_of(master, made) == before == made.sync().allocation


def test_two_admins_at_once_the_second_is_told_and_overwrites_nothing(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made, person = worker(), as_person()
    person.watch.expected = ("412",)
    page = person.open(f"/clients/{made.id}")
    change = AllocationChange(containers=1, cpus=1.0, memory=1 << 30)
    master.admin().call("client_allocate", Allocation, change, client=made.id, headers={"If-Match": '"1"'})
    type_in(page, "Containers", "3")
    alert = page.get_by_role("alert").filter(has_text="Someone else changed this client")
    expect(alert).to_contain_text("Wanted now: 1 container, 1 CPUs and 1 GiB.")
    expect(number(page, "Containers")).to_have_value("3")
    assert allocation_of(master, made).containers == 1
    page.get_by_role("button", name="Apply my values").click()
    expect(wanted(page)).to_contain_text("3 containers, 1 CPUs and 1 GiB each")
    expect(alert).to_have_count(0)
    assert allocation_of(master, made).containers == 3


def test_what_somebody_else_gives_is_shown_by_sliders_that_nobody_has_touched(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made = worker()
    page = as_person().open(f"/clients/{made.id}")
    change = AllocationChange(containers=2, cpus=1.5, memory=512 << 20, paused=True)
    master.admin().call("client_allocate", Allocation, change, client=made.id)
    expect(page.get_by_role("slider", name="CPUs per container")).to_have_value("1.5")
    expect(number(page, "Containers")).to_have_value("2")
    expect(page.get_by_role("switch", name="Paused")).to_be_checked()
    page.get_by_role("switch", name="Paused").uncheck()
    expect(wanted(page)).to_contain_text("2 containers, 1.5 CPUs and 512 MiB each")
    expect(page.get_by_text("each; paused")).to_have_count(0)
    assert allocation_of(master, made).version == 3


def test_its_history_says_who_changed_what_and_leads_back(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made = worker()
    page = as_person().open(f"/clients/{made.id}")
    type_in(page, "Containers", "2")
    expect(wanted(page)).to_contain_text("2 containers")
    made.apply(made.sync().allocation)
    made.sync()
    history = page.get_by_role("region", name="Table of what it was given")
    row = history.get_by_role("row").filter(has_text="version 2")
    expect(row).to_contain_text("containers 4 → 2")
    expect(row).to_contain_text("admin")
    expect(row).to_contain_text("verified")
    history.get_by_role("button", name="Go back to version 1").click()
    expect(wanted(page)).to_contain_text("4 containers, 1 CPUs and 1 GiB each")
    expect(history.get_by_role("row").filter(has_text="version 3")).to_contain_text("containers 2 → 4")
    assert allocation_of(master, made).containers == 4


def test_a_slider_moved_while_the_master_is_away_says_that_nothing_was_carried_out(
    as_person: Callable[..., Visitor], worker: Worker
) -> None:
    made, person = worker(), as_person()
    person.watch.expected = ("htmx:", "Failed to load resource")
    page = person.open(f"/clients/{made.id}")
    page.route(f"**/clients/{made.id}", lambda route: route.abort())
    move(page, "Containers", 1)
    expect(page.get_by_role("alert").filter(has_text="This was not carried out")).to_be_visible()
