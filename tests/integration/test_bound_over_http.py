"""How wrong a job may be, and the way back for a client that was found wrong: over HTTP and on the pages."""

import json
from collections.abc import Iterator

import pytest

from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.views import SubmitRequest
from server import trust
from server.housekeeping import Housekeeping
from server.store.connection import Document
from tests.integration.lookback_parts import lying, right
from tests.integration.people_parts import World, world


@pytest.fixture(scope="module")
def here(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(mongo_uri, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def job(here: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """An adaptive job of ada's, at its end, in which one client lied in chunk 3 and was found out."""
    monkeypatch.setattr(trust, "drawn", lambda _, lease, __: ".000000000003." in lease)
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=12, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="adaptive"),
        reuse=False,
    )
    job = str(here.master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])
    liar, honest = here.master.volunteer(lying(3)), [here.master.volunteer(right) for _ in range(2)]
    liar.work(4)
    liar.work(0)
    housekeeping = Housekeeping(here.store, here.app.extensions["dockercomp"].settings)
    for _ in range(20):
        for each in honest:
            each.work(20)
        housekeeping.round(here.store.duties.now())
        if stored(here, job)["state"] == "completed":
            return job
    raise AssertionError(stored(here, job))


def stored(here: World, job: str) -> Document:
    found = here.store.jobs.by_id(job)
    assert found is not None
    return found


def liar_of(here: World, job: str) -> str:
    return str(here.store.findings.of_job(job)[0]["client"])


def test_the_stated_bound_stands_in_the_jobs_view_its_page_and_its_receipt(here: World, job: str) -> None:
    view = here.call("GET", f"/api/v1/jobs/{job}", here.callers["ada"]).json
    assert view["state"] == "completed"
    found = view["trust"]
    assert (found["basis"], found["accepted"], found["clients_wrong"], found["opened_again"]) == ("adaptive", 12, 1, 3)
    assert found["closed"] and 0 <= found.get("share", 0) <= found["high"] <= 1
    assert found["results"] > 12 and found["cpu_s"] >= 0
    page = here.browser("ada").get(f"/jobs/{job}").text
    assert "How wrong it may be" in page and "with 95 % confidence" in page and liar_of(here, job) in page
    assert stored(here, job)["trust"]["high"] == found["high"]


def test_an_admin_forgives_a_client_with_a_reason_and_it_begins_anew(here: World, job: str) -> None:
    liar = liar_of(here, job)
    assert here.call("GET", f"/api/v1/clients/{liar}", here.callers["root"]).json["marked"]
    path, body = f"/api/v1/clients/{liar}/forgiveness", json.dumps({"reason": "its memory was replaced"})
    assert here.call("POST", path, here.callers["ada"], data=body).status_code == 403
    refused = here.call("POST", path, here.callers["root"], data='{"reason": " "}')
    assert refused.status_code == 400 and "say why" in refused.json["detail"]
    view = here.call("POST", path, here.callers["root"], data=body).json
    assert "marked" not in view and view.get("results_wrong", 0) == 0
    document = here.store.clients.by_id(liar)
    assert document is not None and document["findings"] == {}
    entry = here.call("GET", f"/api/v1/audit?subject={liar}", here.callers["root"]).json["entries"][0]
    assert (entry["kind"], entry["person"], entry["detail"]) == ("client_forgive", "root", "its memory was replaced")


def test_the_page_of_a_client_shows_what_was_found_and_the_way_back(here: World, job: str) -> None:
    liar, root = liar_of(here, job), here.browser("root")
    page = root.get(f"/clients/{liar}").text
    assert "What was found of its results" in page and f"/jobs/{job}" in page and "Forgive it" in page
    assert f"/jobs/{job}" not in here.browser("eve").get(f"/clients/{liar}").text, "others' jobs are not named"
    assert here.browser("ada").post(f"/clients/{liar}/forgive", data={"reason": "x"}).status_code == 403
    assert root.post(f"/clients/{liar}/forgive", data={"reason": "new memory"}).status_code == 303
    after = root.get(f"/clients/{liar}").text
    assert "Forgiven by root: new memory" in after and "Forgive it" not in after


def test_a_withdrawn_result_is_told_on_the_page(here: World, job: str) -> None:
    here.store.editions.withdraw(job, "client c1 was found wrong")
    page = here.browser("ada").get(f"/jobs/{job}").text
    assert "The result was withdrawn and is being computed again: client c1 was found wrong" in page
    view = here.call("GET", f"/api/v1/jobs/{job}", here.callers["ada"]).json
    assert (view["state"], view["edition"], view["withdrawn"]) == ("running", 2, "client c1 was found wrong")
