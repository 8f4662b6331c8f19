"""Jobs as people see them: progress, failures with their logs, why a job waits, its result, and stopping it."""

from collections.abc import Callable

from playwright.sync_api import expect

from dockercomp.protocol.messages import Failure, RunningReport
from tests.browser.conftest import Visitor
from tests.browser.simulated_worker import SimulatedWorker

Worker = Callable[..., SimulatedWorker]


def test_progress_moves_without_reload_and_the_result_can_be_had(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]
) -> None:
    first, second, made = worker(), worker(), job("progressing", chunks=4)
    page = as_person("viola").open(f"/jobs/{made}")
    bar = page.get_by_role("progressbar", name="map: chunks accepted")
    expect(bar).to_have_attribute("aria-valuenow", "0")
    page.evaluate("window.neverReloaded = true")
    first.work(2)
    second.work(4)
    expect(bar).to_have_attribute("aria-valuetext", "2 of 4")
    for each in (first, second):
        each.work(4)
    expect(page.get_by_text("completed")).to_be_visible()
    expect(page.get_by_text("4 of 4 chunks (100 %)")).to_be_visible()
    assert page.evaluate("window.neverReloaded") is True
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the result").click()
    assert download.value.path().read_bytes() == b"0-1\n1-2\n2-3\n3-4\n"


def test_a_failed_job_says_why_with_the_head_and_tail_of_the_log(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]
) -> None:
    made = job("failing", quorum=1, retries=1, chunks=1)
    failure = Failure(
        reason="exit", message="exit code 3", exit_code=3, log_head="<script>first</script>", log_tail="the last line"
    )
    worker().fail(1, failure)
    page = as_person().open(f"/jobs/{made}")
    expect(
        page.get_by_text("Failed: 1 of 1 chunks failed: number 0. Chunk 0 failed 1 times; the last time: exit code 3")
    ).to_be_visible()
    log = page.get_by_label("Log", exact=True)
    expect(log).to_contain_text("<script>first</script>")
    expect(log).to_contain_text("the last line")


def test_a_waiting_job_says_what_it_waits_for(
    as_person: Callable[..., Visitor], job: Callable[..., str], worker: Worker
) -> None:
    worker()
    made = job("waiting", quorum=15)
    page = as_person().open(f"/jobs/{made}")
    expect(page.get_by_text("a quorum of 15 needs 15 different clients")).to_be_visible()
    page.goto(page.url.replace(f"/jobs/{made}", "/"))
    expect(page.get_by_role("region", name="Running jobs")).to_contain_text("a quorum of 15")


def test_an_admin_cancels_a_job_and_others_cannot(as_person: Callable[..., Visitor], job: Callable[..., str]) -> None:
    made, viewer = job("unwanted"), as_person("viola")
    viewer.watch.expected = ("403",)
    theirs = viewer.open(f"/jobs/{made}")
    expect(theirs.get_by_text("Cancel the job…")).to_have_count(0)
    token = theirs.locator("input[name=csrf_token]").first.get_attribute("value")
    answer = theirs.request.post(f"{viewer.home}/jobs/{made}/cancel", form={"csrf_token": token or ""}, max_retries=3)
    assert answer.status == 403
    page = as_person().open(f"/jobs/{made}")
    page.get_by_text("Cancel the job…").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("cancelled by admin")).to_be_visible()
    expect(theirs.get_by_text("cancelled by admin")).to_be_visible()


def test_jobs_come_a_page_at_a_time_newest_first(as_person: Callable[..., Visitor], job: Callable[..., str]) -> None:
    made = [job(f"many {number}", chunks=1) for number in range(52)]
    page = as_person().open("/jobs")
    table = page.get_by_role("region", name="Table of jobs")
    expect(table.locator("tbody tr")).to_have_count(50)
    expect(table.locator("tbody tr").first).to_contain_text("many 51")
    page.get_by_role("link", name="Older").click()
    expect(table).to_contain_text(made[1])
    expect(table).to_contain_text(made[0])
    page.get_by_role("link", name="Newest").click()
    expect(table.locator("tbody tr").first).to_contain_text(made[-1])


def test_a_failed_job_names_what_failed_and_is_run_again_by_its_owner(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]
) -> None:
    made, one = job("again", quorum=1, retries=1, chunks=3), worker()
    one.work(1)
    one.fail(1, Failure(reason="exit", message="exit code 3", exit_code=3))
    page = as_person().open(f"/jobs/{made}")
    expect(page.get_by_role("region", name="Given up: 1 chunk")).to_contain_text("number 1")
    one.work(1)
    theirs = as_person("viola").open(f"/jobs/{made}")
    expect(theirs.get_by_role("heading", name="What was accepted")).to_be_visible(timeout=20_000)
    expect(theirs.get_by_role("button", name="Run again what failed")).to_have_count(0)
    page.get_by_role("button", name="Run again what failed").click(timeout=20_000)
    expect(page.get_by_text("running", exact=True)).to_be_visible()
    one.work(1)
    expect(page.get_by_role("link", name="Download the result")).to_be_visible(timeout=20_000)


def test_an_ended_job_is_removed(as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]) -> None:
    made = job("unwanted", quorum=1, chunks=1)
    worker().work(1)
    person = as_person()
    person.watch.expected = ("404",)
    page = person.open(f"/jobs/{made}")
    page.get_by_text("Remove the job…").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.goto(f"{person.home}/jobs/{made}")
    expect(page.get_by_text(f"There is no job {made}")).to_be_visible()


def test_what_runs_is_seen_with_its_progress_and_log(
    as_person: Callable[..., Visitor], worker: Worker, job: Callable[..., str]
) -> None:
    made, one = job("long", quorum=1, chunks=1), worker()
    (lease,) = one.sync(1).leases
    one.sync(running=[RunningReport(lease=lease.id, seconds=90, progress=0.42, message="epoch 3", log=b"a\nlast\n")])
    page = as_person("viola").open(f"/jobs/{made}")
    now = page.get_by_role("region", name="Running now")
    expect(now.get_by_role("progressbar", name="map chunk 0")).to_have_attribute("aria-valuenow", "42")
    expect(now).to_contain_text("epoch 3")
    expect(now).to_contain_text("last")
    expect(page.get_by_text("It runs: 1 chunks are with clients now")).to_be_visible()
    now.get_by_role("link", name="Map chunk 0").click()
    expect(page.get_by_label("Its log so far")).to_have_text("a\nlast")
    one.sync(running=[RunningReport(lease=lease.id, seconds=95, progress=0.5, log_from=7, log=b"more\n")])
    expect(page.get_by_label("Its log so far")).to_contain_text("more", timeout=20_000)
