"""What jobs want and volunteers allow, as people see it."""

from collections.abc import Callable

from msgspec.structs import replace
from playwright.sync_api import expect

from dockercomp.protocol.messages import RefusedJob
from dockercomp.protocol.orders import WantsSpec
from tests.browser.conftest import Visitor
from tests.browser.simulated_worker import CEILING, SimulatedWorker

Worker = Callable[..., SimulatedWorker]


def test_a_job_says_what_it_wants_why_and_how_many_allow_it(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]
) -> None:
    worker()
    allowing = worker(ceiling=replace(CEILING, allows=["network", "writable_root"]))
    made = job("tiles", wants=WantsSpec(network=True, reason="It fetches map tiles."))
    page = as_person().open(f"/jobs/{made}")
    declared = page.get_by_role("region", name="As it was declared")
    expect(declared).to_contain_text("It wants network: 1 of 2 connected clients allow that.")
    expect(declared).to_contain_text("It fetches map tiles.")
    expect(declared).to_contain_text("the master alone; volunteers who demand a scientist's signature do not run it")
    expect(page.get_by_text("Waiting:")).to_contain_text("a quorum of 2 needs 2 different clients")
    page.goto(f"{page.url.partition('/jobs')[0]}/clients/{allowing.id}")
    expect(page.get_by_role("region", name="About this client")).to_contain_text("network, writable root")


def test_a_refusal_for_want_of_consent_is_read_at_the_client(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]
) -> None:
    made = job("tiles", wants=WantsSpec(network=True))
    refusing = worker(refused=[RefusedJob(job=made, reason="the job wants the network, which this volunteer forbids")])
    page = as_person().open(f"/clients/{refusing.id}")
    expect(page.get_by_text(f"Refuses job {made}")).to_contain_text("wants the network")
    expect(page.get_by_role("region", name="About this client")).to_contain_text("nothing beyond the locked default")
