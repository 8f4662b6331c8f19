"""The receipt of a result, and of one chunk, as the pages give them."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from dockercomp.protocol import receipts
from dockercomp.protocol.receipts import ChunkReceipt, JobReceipt, Receipt
from tests.browser.conftest import Visitor
from tests.browser.simulated_worker import SimulatedWorker

LOOKS = 20_000


def downloaded(page: Page) -> tuple[str, Receipt]:
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the signed receipt").click()
    raw = download.value.path().read_bytes()
    return download.value.suggested_filename, receipts.read(receipts.opened(raw))


def test_the_receipts_of_a_job_and_of_a_chunk_are_a_click_away(
    as_person: Callable[..., Visitor], worker: Callable[..., SimulatedWorker], job: Callable[..., str]
) -> None:
    made, first = job("stated", chunks=2, quorum=1), worker()
    first.work(2, lambda lease: b"1\n")
    visitor = as_person("viola")
    page = visitor.open(f"/jobs/{made}")
    expect(page.get_by_role("heading", name="Result", exact=True)).to_be_visible(timeout=LOOKS)
    name, receipt = downloaded(page)
    assert isinstance(receipt, JobReceipt)
    assert (name, receipt.job, receipt.chunks) == (f"{made}.receipt.json", made, 2)
    name, receipt = downloaded(visitor.open(f"/jobs/{made}/chunks/{made}.0.{1:012d}"))
    assert isinstance(receipt, ChunkReceipt)
    assert (name, receipts.record_of(receipt).index) == (f"{made}.0.{1:012d}.receipt.json", 1)
