"""What a scientist may have at once: refused over it with numbers and the way out, and shown with what is used."""

import hashlib
import json
import os
import time
from collections.abc import Iterator

import msgspec
import pytest
from werkzeug.test import TestResponse

from dockercomp.machine.configuration import ConfigurationError
from dockercomp.protocol.errors import QuotaExceeded
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec
from dockercomp.protocol.parts import content_digest
from dockercomp.protocol.quotas import Amounts, QuotaView
from dockercomp.protocol.views import SubmitRequest
from server import describing, quotas
from server.holding_back import HoldingBack
from server.removal import KEPT_UPLOAD_S, Removal
from server.sources import Sources
from tests.integration.people_parts import World, world

DEFAULT = Amounts(jobs=2, stored=1000, chunks=3, images=1)


@pytest.fixture(scope="module")
def opened(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(mongo_uri, tmp_path_factory.mktemp("home"), quota=DEFAULT) as found:
        yield found


@pytest.fixture
def here(opened: World) -> World:
    opened.reset()
    return opened


def submit(here: World, person: str, key: str = "", numbers: int = 10) -> TestResponse:
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=numbers, per_chunk=1),
        map=ProgramSpec(command=["true"]),
    )
    headers = {"Authorization": f"Bearer {here.callers[person]}", **({"Idempotency-Key": key} if key else {})}
    body = msgspec.json.encode(SubmitRequest(spec=spec))
    return here.app.test_client().post("/api/v1/jobs", data=body, headers=headers)


def upload(here: World, person: str, data: bytes) -> TestResponse:
    return part(here, person, data, 0, len(data), len(data))


def part(here: World, person: str, whole: bytes, offset: int, stop: int, size: int) -> TestResponse:
    """One part of the upload of `whole`, which is said to have `size` bytes."""
    data = whole[offset:stop]
    path = f"/api/v1/blobs/{hashlib.sha256(whole).hexdigest()}?offset={offset}&size={size}"
    headers = {"Authorization": f"Bearer {here.callers[person]}", "Content-Digest": content_digest(data)}
    answer = here.app.test_client().put(path, data=data, headers=headers)
    answer.get_data()
    answer.close()  # gives its place for transfers back
    return answer


def quota(here: World, person: str, by: str = "") -> QuotaView:
    answer = here.call("GET", f"/api/v1/quotas/{person}", here.callers[by or person])
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.data, type=QuotaView)


def give(here: World, person: str, **amounts: int) -> TestResponse:
    body = json.dumps(amounts).encode()
    return here.call("PUT", f"/api/v1/quotas/{person}", here.callers["root"], data=body)


def refused(answer: TestResponse) -> str:
    assert answer.status_code == 403, answer.text
    found = json.loads(answer.data)
    assert found["code"] == "quota_exceeded"
    return str(found["detail"])


def test_jobs_that_run_are_bounded_and_a_repeated_submission_is_none_more(here: World) -> None:
    first = submit(here, "ada", "one")
    assert first.status_code == submit(here, "ada", "two", numbers=10**9).status_code == 201
    said = refused(submit(here, "ada"))
    assert "your quota is 2 running jobs; you have 2" in said and "dockercomp cancel" in said
    assert json.loads(submit(here, "ada", "one").data)["id"] == json.loads(first.data)["id"]
    assert submit(here, "eve").status_code == 201
    here.call("POST", f"/api/v1/jobs/{json.loads(first.data)['id']}/cancel", here.callers["ada"])
    assert submit(here, "ada").status_code == 201


def test_an_admin_has_no_bound_and_gives_others_theirs(here: World) -> None:
    assert [submit(here, "root").status_code for _ in range(3)] == [201] * 3
    assert give(here, "ada", jobs=1, stored=10).status_code == 200
    found = quota(here, "ada")
    assert (found.quota.jobs, found.quota.stored, found.quota.images) == (1, 10, 1)
    assert (found.own.jobs, found.own.images) == (1, None)
    submit(here, "ada")
    assert "quota is 1 running jobs" in refused(submit(here, "ada"))
    give(here, "ada", jobs=0)
    assert submit(here, "ada").status_code == 201
    assert give(here, "nobody", jobs=1).status_code == 404
    assert here.call("GET", "/api/v1/quotas/ada", here.callers["eve"]).status_code == 403


def test_what_is_stored_is_bounded_before_it_is_sent_and_freed_with_it(here: World) -> None:
    assert upload(here, "ada", b"a" * 600).status_code == 200
    assert upload(here, "ada", b"a" * 600).status_code == 200, "the same counts once"
    said = refused(upload(here, "ada", b"b" * 500))
    assert "your quota is 1000 bytes stored; you have 600 bytes, and this takes 500 bytes more" in said
    assert "dockercomp rm" in said
    assert upload(here, "eve", b"b" * 500).status_code == 200
    assert quota(here, "ada").use.stored == 600
    removal = Removal(here.store, Sources(here.store))
    assert removal.free_uploads(here.store.duties.now() + KEPT_UPLOAD_S + 10) >= 1
    assert quota(here, "ada").use.stored == 0


def test_an_upload_counts_with_the_largest_size_that_is_named_for_it(here: World) -> None:
    large = b"l" * 1500
    assert part(here, "ada", large, 0, 400, 400 + 1).status_code == 200
    said = refused(part(here, "ada", large, 400, 1500, 1500))
    assert "you have 401 bytes, and this takes 1.1 KiB more" in said
    assert part(here, "ada", large, 400, 600, 700).status_code == 200
    assert part(here, "ada", large, 600, 600, 0).status_code == 400
    assert quota(here, "ada").use.stored == 700
    upload(here, "eve", b"s" * 300)
    part(here, "ada", b"s" * 300, 0, 0, 0)  # it is here by another
    assert upload(here, "ada", b"s" * 300).status_code == 200
    assert quota(here, "ada").use.stored == 1000


def test_uploads_that_were_broken_off_count_for_a_day(here: World) -> None:
    assert part(here, "ada", b"h" * 300, 0, 100, 300).status_code == 200
    spoilt = hashlib.sha256(b"spoilt").hexdigest()
    here.app.extensions["dockercomp"].allowances.begin_upload("ada", spoilt, 50)  # nothing of it ever arrived
    assert upload(here, "ada", b"w" * 200).status_code == 200
    assert quota(here, "ada").use.stored == 550
    removal, whole = Removal(here.store, Sources(here.store)), hashlib.sha256(b"w" * 200).hexdigest()
    removal.free_uploads(here.store.duties.now())
    assert quota(here, "ada").use.stored == 550
    path = here.store.blobs._path(whole)  # type: ignore[attr-defined]
    later = time.time() + KEPT_UPLOAD_S + 100
    os.utime(path, (later, later))  # in use still
    removal.free_uploads(later)
    assert quota(here, "ada").use.stored == 200


def test_results_count_as_stored(here: World) -> None:
    client = here.volunteers["client"]
    job = json.loads(submit(here, "ada", numbers=2).data)["id"]
    give(here, "ada", stored=1)
    here.store.database["jobs"].update_one({"_id": job}, {"$set": {"spec.verify": {"policy": "none", "quorum": 1}}})
    client.work()
    client.work(0)
    used = quota(here, "ada").use.stored
    assert used > 1
    assert "quota is 1 bytes stored" in refused(submit(here, "ada"))


def test_images_are_bounded(here: World) -> None:
    images = here.store.database["images"]
    images.insert_one({"_id": "mine linux/amd64", "name": "mine", "owner": "ada", "archive": "0" * 64})
    allowances = here.app.extensions["dockercomp"].allowances
    allowances.check_image("ada", "mine linux/amd64")
    with pytest.raises(QuotaExceeded, match="quota is 1 images; you have 1"):
        allowances.check_image("ada", "another linux/amd64")


def test_chunks_at_one_time_are_held_back_and_go_on(here: World) -> None:
    job = json.loads(submit(here, "ada", numbers=50).data)["id"]
    client = here.volunteers["client"]
    holding_back = HoldingBack(here.store, DEFAULT)
    client.send(client.request(3))
    assert quota(here, "ada").use.chunks == 3
    holding_back.round(here.store.jobs.running())
    idle = client.send(client.request(3))
    assert idle.leases == [] and "quota is 3" in idle.why_idle
    document = here.store.jobs.by_id(job)
    assert document is not None and "quota is 3 at one time" in describing.why_waiting(document, [])
    client.compute()
    client.send(client.request(0))
    holding_back.round(here.store.jobs.running())
    assert client.send(client.request(3)).leases


def test_settings_and_sentences() -> None:
    read = quotas.read({"DC_QUOTA_JOBS": "5", "DC_QUOTA_STORED": "2GiB"})
    assert read == Amounts(jobs=5, stored=2 << 30)
    assert quotas.refusal("jobs", 0, 10**9) == "" == quotas.refusal("jobs", 2, 1)
    assert "2.0 GiB stored; you have 1.5 GiB" in quotas.refusal("stored", 2 << 30, 3 << 29, 1 << 30)
    with pytest.raises(ConfigurationError):
        quotas.read({"DC_QUOTA_STORED": "much"})
