"""How a job speeds up, and how busy a client is: plots with words for those who cannot see them, and a table."""

from collections.abc import Callable, Iterator

import msgspec
import pytest
from playwright.sync_api import Page, expect

from dockercomp.protocol.messages import Lease, ResultReport
from server.sampling import Sampling
from server.store import Store
from tests.browser.conftest import AXE, Visitor
from tests.browser.simulated_worker import SimulatedWorker
from tests.browser.simulated_worker import done as done_plainly
from tests.integration.masters import RunningMaster
from tests.waiting import wait_until


@pytest.fixture
def store(master: RunningMaster) -> Iterator[Store]:
    opened = master.store()
    yield opened
    opened.database.client.close()


def timed(lease: Lease, width: float, noise: float) -> ResultReport:
    """A fifth of the program is serial."""
    plain = done_plainly(lease, b"result\n")
    return msgspec.structs.replace(plain, width=width, wall_s=8 * (0.2 + 0.8 / width) * noise, cpu_s=8.0)


def run(worker: SimulatedWorker, width: float, chunks: int) -> None:
    """Take so many chunks and report them as run with so many CPUs."""
    while chunks > 0:
        worker.sync(min(chunks, 6))
        assert worker.held
        worker.results = [timed(lease, width, (0.97, 1.03)[n % 2]) for n, lease in enumerate(worker.held)]
        chunks -= len(worker.held)
        worker.held = []
        worker.sync()


def serious(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")]


def drawn(page: Page, alternative: str) -> bool:
    image = page.get_by_alt_text(alternative)
    return bool(image.evaluate("image => image.complete && image.naturalWidth > 100"))


def test_a_jobs_page_shows_how_it_speeds_up(
    as_person: Callable[..., Visitor], worker: Callable[..., SimulatedWorker], job: Callable[..., str]
) -> None:
    made = job("sped-up", chunks=60, quorum=1)
    volunteer = worker()
    page = as_person().open(f"/jobs/{made}")
    panel = page.get_by_role("region", name="How it speeds up")
    expect(panel).to_contain_text("No run has had one width")
    for width in (1, 2, 4, 8):
        run(volunteer, width, 8)
    expect(panel).to_contain_text("20 % of the work is serial")
    expect(panel).to_contain_text("on 8 CPUs")
    table = panel.get_by_role("region", name="Runs of map on")
    expect(table.get_by_role("row")).to_have_count(5)
    expect(table.get_by_role("rowheader", name="8", exact=True)).to_be_visible()
    alternative = panel.get_by_role("img").get_attribute("alt")
    assert alternative and "Amdahl's law" in alternative and "runs with 1 to 8 CPUs" in alternative
    wait_until(lambda: drawn(page, alternative))
    assert serious(page) == []
    with page.expect_download() as saved:
        panel.get_by_role("link", name="Save the runs of map on").click()
    assert saved.value.path().read_text().startswith("stage,machine,cpus,runs")


def test_a_clients_page_shows_how_busy_it_was(
    as_person: Callable[..., Visitor], worker: Callable[..., SimulatedWorker], store: Store
) -> None:
    volunteer = worker()
    volunteer.sync(load=1.25)
    sampling, now = Sampling(store, silent_after_s=600), store.duties.now()
    for ago in (60, 0):
        sampling.round(now - ago)
    page = as_person().open(f"/clients/{volunteer.id}")
    panel = page.get_by_role("region", name="How busy it is")
    image = panel.get_by_role("img", name="How busy its CPUs are")
    alternative = image.get_attribute("alt")
    assert alternative and "load average 1.25 of 8 CPUs" in alternative
    wait_until(lambda: drawn(page, alternative))
    assert serious(page) == []
