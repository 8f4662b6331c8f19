"""How wrong a result may be, who was found wrong, and the way back: as people see it."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import VerifySpec
from server.store import Store
from tests.browser.conftest import AXE, Visitor
from tests.browser.simulated_worker import SimulatedWorker
from tests.integration.masters import RunningMaster
from tests.waiting import wait_until

Worker = Callable[..., SimulatedWorker]
CHUNKS = 12


@pytest.fixture
def store(master: RunningMaster) -> Iterator[Store]:
    opened = master.store()
    yield opened
    opened.database.client.close()


def known(store: Store, job: str, *workers: SimulatedWorker, agreed: int = 1000) -> None:
    """Give clients a long good record, or take it from them."""
    fields = {"counters.agreed": agreed, f"counters.jobs.{job}.agreed": agreed}
    store.clients.count([(worker.id, {"valid": agreed}, fields) for worker in workers])
    store.jobs.count(job, {"confirmed": 3})


def numbers(lease: Lease) -> bytes:
    return f"{lease.start}\n".encode()


@pytest.fixture
def found_wrong(store: Store, worker: Worker, job: Callable[..., str]) -> tuple[str, SimulatedWorker]:
    """A completed job, and a client whose lies in it were found out and corrected."""
    made = job("trust", chunks=CHUNKS, verify=VerifySpec(policy="adaptive"))
    liar, honest = worker("liar"), [worker("honest-1"), worker("honest-2")]
    known(store, made, liar, *honest)
    liar.work(5, b"-1\n")
    known(store, made, liar, agreed=0)  # from now on each of its results is checked
    liar.work(1, b"-1\n")

    def completed() -> bool:
        for each in honest:
            each.work(50, numbers)
        document = store.jobs.by_id(made)
        return document is not None and document["state"] == "completed"

    wait_until(completed)
    return made, liar


def serious(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")]


def test_a_jobs_page_says_how_wrong_it_may_be_and_a_clients_page_has_the_way_back(
    as_person: Callable[..., Visitor], found_wrong: tuple[str, SimulatedWorker]
) -> None:
    job, liar = found_wrong
    visitor = as_person()
    page = visitor.open(f"/jobs/{job}")
    stated = page.get_by_role("region", name="How wrong it may be")
    expect(stated).to_contain_text("with 95 % confidence, whatever liars planned")
    expect(stated).to_contain_text("Clients found wrong1")
    expect(stated.get_by_role("link", name=liar.id)).to_be_visible()
    assert serious(page) == []

    overview = visitor.open("/")
    expect(overview.get_by_role("region", name="Needs a look")).to_contain_text("outvoted by a quorum")

    stated.get_by_role("link", name=liar.id).click()
    found = page.get_by_role("region", name="What was found of its results")
    expect(found).to_contain_text(f"Wrong in job {job}")
    assert serious(page) == []
    found.get_by_label("Why it may be believed again").fill("its memory was replaced")
    found.get_by_role("button", name="Forgive it").click()
    expect(found).to_contain_text("Forgiven by admin: its memory was replaced")
    expect(page.get_by_text("Marked:")).to_have_count(0)


def test_a_withdrawn_result_is_said_with_the_reason(
    as_person: Callable[..., Visitor], store: Store, found_wrong: tuple[str, SimulatedWorker]
) -> None:
    job, _ = found_wrong
    store.editions.withdraw(job, "client c1 was found wrong in chunk 3")
    page = as_person().open(f"/jobs/{job}")
    said = page.get_by_text("client c1 was found wrong in chunk 3")
    expect(said).to_contain_text("withdrawn")
    expect(said).to_contain_text("This result is edition 2", timeout=20_000)  # everything is accepted: it ends at once
    assert serious(page) == []
