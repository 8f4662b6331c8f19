"""Clients and containers as an admin sees and changes them, against simulated clients that speak the real sync."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from dockercomp.protocol.messages import Allocation, RefusedJob
from dockercomp.protocol.views import ClientView
from tests.browser.conftest import Visitor
from tests.browser.simulated_worker import SimulatedWorker
from tests.integration.masters import RunningMaster

Worker = Callable[..., SimulatedWorker]


def containers(page: Page) -> list[str]:
    return page.get_by_role("region", name="Table of containers").locator("tbody tr").all_inner_texts()


def allocation_of(master: RunningMaster, worker: SimulatedWorker) -> Allocation:
    return master.admin().call("client", ClientView, client=worker.id).allocation


def test_containers_are_shown_with_name_state_image_address_limits_and_use(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]
) -> None:
    made = worker(job=job(), use=0.5)
    page = as_person().open(f"/clients/{made.id}")
    expect(page.get_by_role("heading", name=made.hostname)).to_be_visible()
    rows = containers(page)
    assert len(rows) == 4
    for number, row in enumerate(rows, 1):
        for shown in (f"dc-{made.hostname}-{number}", "running", "dockercomp/python", made.job, f"map {number}"):
            assert shown in row, row
        assert "0.5 of 1" in row and "272 MiB of 1.06 GiB" in row and "cgroup v1" in row, row
    assert "172.17.0.9" in rows[1] and "network off" in rows[0]


def test_the_list_sums_up_each_client(as_person: Callable[..., Visitor], worker: Worker) -> None:
    made = worker(use=0.5)
    page = as_person().open("/clients")
    row = page.get_by_role("row").filter(has_text=made.id)
    for shown in (made.hostname, "alive", "lab", "127.0.0.1", "4 of 4", "2 of 4", "just now"):
        expect(row).to_contain_text(shown)


@pytest.mark.parametrize("name", ["viola", "sam"])
def test_only_admins_change_what_a_client_is_given(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster, name: str
) -> None:
    made, person = worker(), as_person(name)
    person.watch.expected = ("403",)
    before = allocation_of(master, made)
    page = person.open(f"/clients/{made.id}")
    expect(page.get_by_text("Only an admin can change this.")).to_be_visible()
    expect(page.get_by_role("slider")).to_have_count(0)
    token = page.locator("input[name=csrf_token]").first.get_attribute("value")
    values = {"containers": "1", "cpus": "1", "memory": "64", "version": "1", "csrf_token": token or ""}
    answer = page.request.post(f"{person.home}/clients/{made.id}", form=values, max_retries=3)
    assert answer.status == 403
    assert (
        page.request.post(
            f"{person.home}/volunteers", form={"owner": "x", "csrf_token": token or ""}, max_retries=3
        ).status
        == 403
    )
    assert allocation_of(master, made) == before


def test_a_form_of_another_site_changes_nothing(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    made, person = worker(), as_person()
    before = allocation_of(master, made)
    values = {"containers": "1", "cpus": "1", "memory": "64", "version": "1"}
    assert person.context.request.post(f"{person.home}/clients/{made.id}", form=values, max_retries=3).status == 400
    assert allocation_of(master, made) == before


def test_a_client_that_an_admin_looks_at_is_asked_to_sync_often(
    as_person: Callable[..., Visitor], worker: Worker, master: RunningMaster
) -> None:
    watched, other = worker(), worker()
    as_person().open(f"/clients/{watched.id}")
    as_person("viola").open(f"/clients/{other.id}")
    with master.store() as store:
        found = [store.clients.by_id(each.id) or {} for each in (watched, other)]
    assert ["watched_until" in client for client in found] == [True, False]
    assert watched.sync().call_again_s <= 1.0


def test_the_overview_names_clients_that_need_a_look(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str], master: RunningMaster
) -> None:
    silent, refusing = worker("silent-pc"), worker("refusing-pc")
    refusing.refused = [RefusedJob(job=job("picky"), reason="its image is for another platform")]
    refusing.sync()
    store = master.store()
    store.database["clients"].update_one({"_id": silent.id}, {"$inc": {"seen": -3600}})
    store.database.client.close()
    page = as_person().open("/")
    attention = page.get_by_role("region", name="Needs a look")
    expect(attention).to_contain_text("silent-pc")
    expect(attention).to_contain_text("last heard of 1 h ago")
    expect(attention).to_contain_text("its image is for another platform")
    page.goto(page.url + f"clients/{silent.id}")
    expect(page.get_by_text("Nothing is known of its containers")).to_be_visible()


def test_a_volunteer_joins_by_the_link_that_an_admin_made(
    as_person: Callable[..., Visitor], master: RunningMaster
) -> None:
    page = as_person().open("/")
    page.get_by_label("Owner").fill("Physics <b>& friends</b>")
    page.get_by_role("button", name="Make an enrolment link").click()
    command = page.get_by_label("The volunteer runs this one command").input_value()
    assert command.startswith(f"curl -fsSL '{master.url}/installer.sh?token=") and command.endswith("' | sh")
    page.wait_for_load_state()  # the button needs its script
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    made = SimulatedWorker(master.url, command.split("token=")[1].split("'")[0], "joined-pc")
    made.sync()
    page.get_by_role("link", name="Clients", exact=True).click()
    row = page.get_by_role("row").filter(has_text=made.id)
    expect(row).to_contain_text("Physics <b>& friends</b>")
