"""The API over HTTP on a whole master: who may call what, and what bad input gets."""

import hashlib
import json
import re
import secrets
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import requests

from dockercomp.protocol.errors import (
    BadRequest,
    Busy,
    ChecksumMismatch,
    Conflict,
    DockercompError,
    Forbidden,
    InvalidJob,
    NotFound,
    Unauthorized,
)
from dockercomp.protocol.messages import PART_LIMIT, EnrolAnswer, EnrolRequest, SyncAnswer, SyncRequest
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.parts import content_digest
from dockercomp.protocol.routes import ROUTES, Route
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import BlobStatus, ClientView, Health, InputFile, JobPage, JobView, SubmitRequest
from tests.integration.masters import RunningMaster, running_master
from tests.integration.simulated import CEILING, MACHINE, Master


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("m")) as running:
        yield running


def enrolled(master: RunningMaster) -> tuple[str, str]:
    """A new client: its id and its bearer token."""
    request = EnrolRequest(
        token=master.enrolment_token(), machine=MACHINE, ceiling=CEILING, request=secrets.token_hex(8)
    )
    answer = Connection(master.url).call("enrol", EnrolAnswer, request)
    return answer.client, f"{answer.client}.{answer.secret}"


def sync_of(seq: int = 1) -> SyncRequest:
    return SyncRequest(protocol=1, session="s", seq=seq, machine=MACHINE, ceiling=CEILING)


def fill(route: Route) -> str:
    return re.sub(r"<\w+>", "0" * 64, route.path)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.who != "public"], ids=lambda route: route.name)
def test_without_credentials_nothing_is_let_in(master: RunningMaster, route: Route) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer c1.wrong"}):
        body = msgspec.json.encode(sync_of()) if route.name == "sync" else b"{}"
        answer = requests.request(route.method, master.url + fill(route), data=body, headers=headers, timeout=10)
        assert answer.status_code in (401, 403), (headers, answer.text)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["code"] in ("unauthorized", "forbidden")


@pytest.mark.parametrize("route", [r for r in ROUTES if r.who in ("user", "admin")], ids=lambda route: route.name)
def test_a_client_may_not_act_as_a_person(master: RunningMaster, route: Route) -> None:
    _, token = enrolled(master)
    answer = requests.request(
        route.method, master.url + fill(route), headers={"Authorization": f"Bearer {token}"}, timeout=10
    )
    assert answer.status_code == 403


def test_a_person_may_not_act_as_a_client(master: RunningMaster) -> None:
    with pytest.raises(Forbidden):
        master.admin(retries=0).call("sync", SyncAnswer, sync_of())


def test_enrolling_again_with_the_same_request_is_the_same_client(master: RunningMaster) -> None:
    request = EnrolRequest(token=master.enrolment_token(), machine=MACHINE, ceiling=CEILING, request="same")
    first = Connection(master.url).call("enrol", EnrolAnswer, request)
    second = Connection(master.url).call("enrol", EnrolAnswer, request)
    assert first.client == second.client and first.secret != second.secret
    with pytest.raises(Unauthorized):
        Connection(master.url, f"{first.client}.{first.secret}").call("sync", SyncAnswer, sync_of())
    Connection(master.url, f"{second.client}.{second.secret}").call("sync", SyncAnswer, sync_of())


def test_two_workers_behind_one_address_are_two_clients(master: RunningMaster) -> None:
    (first, token), (second, other) = enrolled(master), enrolled(master)
    for each in (token, other):
        Connection(master.url, each).call("sync", SyncAnswer, sync_of())
    views = [master.admin().call("client", ClientView, client=client) for client in (first, second)]
    assert first != second and views[0].address == views[1].address != ""


def test_a_wrong_enrolment_token_is_refused(master: RunningMaster) -> None:
    request = EnrolRequest(token="dce-wrong", machine=MACHINE, ceiling=CEILING, request="x")
    with pytest.raises(Unauthorized, match="ask the admin"):
        Connection(master.url, retries=0).call("enrol", EnrolAnswer, request)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"protocol":1}', b"\xff\xfe", b'{"protocol":"one","session":1,"seq":[]}']
)
def test_a_malformed_body_gets_a_problem_that_says_what_is_wrong(master: RunningMaster, body: bytes) -> None:
    _, token = enrolled(master)
    answer = requests.post(
        f"{master.url}/api/v1/sync", data=body, headers={"Authorization": f"Bearer {token}"}, timeout=10
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_an_oversized_body_is_refused_before_it_is_read(master: RunningMaster) -> None:
    with socket.create_connection(("127.0.0.1", master.settings.port), timeout=10) as raw:
        head = f"POST /api/v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n"
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_truncated_body_changes_nothing(master: RunningMaster) -> None:
    client, token = enrolled(master)
    with socket.create_connection(("127.0.0.1", master.settings.port), timeout=30) as raw:
        head = f"POST /api/v1/sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 500\r\n\r\n"
        raw.sendall(head.encode() + b'{"protocol":1,"session":"cut","seq":1')
        raw.shutdown(socket.SHUT_WR)
        assert b" 400 " in raw.recv(100)
    assert master.admin().call("client", ClientView, client=client).status == ""


def test_an_upload_whose_part_is_corrupted_on_the_way_is_refused_and_can_be_repeated(master: RunningMaster) -> None:
    data = secrets.token_bytes(1000)
    digest = hashlib.sha256(data).hexdigest()
    with pytest.raises(ChecksumMismatch):
        master.admin(retries=0).call(
            "blob_put",
            BlobStatus,
            digest=digest,
            params={"offset": 0, "size": 1000},
            body=data[:-1] + b"x",
            headers={"Content-Digest": content_digest(data)},
        )
    import io

    master.admin().upload(digest, len(data), io.BytesIO(data))
    assert master.admin().call("blob_status", BlobStatus, digest=digest).complete


def test_a_client_cannot_upload_what_nobody_asked_for(master: RunningMaster) -> None:
    _, token = enrolled(master)
    with pytest.raises(Forbidden, match="awaited"):
        Connection(master.url, token, retries=0).call("blob_status", BlobStatus, digest="0" * 64)


def test_stalled_uploads_never_starve_the_syncs(master: RunningMaster) -> None:
    _, token = enrolled(master)
    stalled = []
    try:
        for number in range(16):
            raw = socket.create_connection(("127.0.0.1", master.settings.port), timeout=30)
            head = (
                f"PUT /api/v1/blobs/{number:064x}?offset=0&size={PART_LIMIT} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {master.admin_token}\r\nContent-Length: {PART_LIMIT}\r\n\r\n"
            )
            raw.sendall(head.encode() + b"x")
            stalled.append(raw)
        connection = Connection(master.url, token, retries=0, timeout=10)
        for seq in range(1, 20):
            connection.call("sync", SyncAnswer, sync_of(seq))
        places = master.settings.processes * (master.settings.threads // 2)
        refused = 0
        expected = len(stalled) - places
        while refused < expected:
            readable, _, _ = select.select(stalled, [], [], 20)
            assert readable, f"only {refused} of the stalled uploads were refused"
            for raw in readable:
                assert raw.recv(100)[9:12] == b"429"
                stalled.remove(raw)
                raw.close()
                refused += 1
    finally:
        for raw in stalled:
            raw.close()


def test_busy_says_when_to_come_again() -> None:
    assert Busy("x", retry_after=1).retry_after == 1


def test_health_and_metrics(master: RunningMaster) -> None:
    anybody = Connection(master.url)
    assert anybody.call("healthz", Health).status == anybody.call("readyz", Health).status == "ok"
    assert "dockercomp_requests_total" in anybody.request("metrics").text


def test_the_log_has_the_ids_of_request_and_job(master: RunningMaster) -> None:
    answer = requests.get(
        f"{master.url}/api/v1/jobs/jlogged", headers={"Authorization": f"Bearer {master.admin_token}"}, timeout=10
    )
    assert answer.json()["request"] == answer.headers["X-Request-Id"]
    lines = [line for line in (master.home / "log" / "master.log").read_text().splitlines() if line.startswith("{")]
    (found,) = [entry for entry in map(json.loads, lines) if entry.get("request") == answer.headers["X-Request-Id"]]
    assert (found["route"], found["job"], found["status"]) == ("job", "jlogged", 404)


def test_unknown_urls_and_methods_are_problems(master: RunningMaster) -> None:
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("DELETE", "/api/v1/jobs", 405)):
        answer = requests.request(method, master.url + path, timeout=10)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_openapi_document_names_every_route(master: RunningMaster) -> None:
    document = requests.get(f"{master.url}/api/v1/openapi.json", timeout=10).json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, re.sub(r"<(\w+)>", r"{\1}", route.path)) for route in ROUTES}


def test_the_installer_has_the_configured_address_and_no_token_of_its_own(master: RunningMaster) -> None:
    plain = requests.get(f"{master.url}/installer.sh", headers={"Host": "evil.example"}, timeout=10).text
    assert f"DC_SERVED_URL='{master.url}'" in plain and "evil.example" not in plain
    assert "DC_SERVED_TOKEN=''" in plain
    token = master.enrolment_token()
    assert (
        f"DC_SERVED_TOKEN='{token}'"
        in requests.get(f"{master.url}/installer.sh", params={"token": token}, timeout=10).text
    )
    odd = requests.get(f"{master.url}/installer.sh", params={"token": "';reboot;'"}, timeout=10).text
    assert "reboot" not in odd


@pytest.mark.parametrize("path", ["../secrets/flask.key", "..%2f..%2fsecrets%2fflask.key", ".hidden", "nothing.whl"])
def test_only_package_files_are_served(master: RunningMaster, path: str) -> None:
    assert requests.get(f"{master.url}/worker/{path}", timeout=10).status_code == 404


def submission(**spec: object) -> SubmitRequest:
    fields = {
        "name": "n",
        "image": "i",
        "input": InputSpec(split="range", start=0, stop=5, per_chunk=1),
        "map": ProgramSpec(command=["true"]),
    }
    return SubmitRequest(spec=JobSpec(**{**fields, **spec}))  # type: ignore[arg-type]


@pytest.fixture
def with_image(master: RunningMaster) -> None:
    with master.store() as store:
        Master(store)


def test_a_submission_is_safe_to_repeat(master: RunningMaster, with_image: None) -> None:
    headers = {"Idempotency-Key": secrets.token_hex(4)}
    first = master.admin().call("submit", JobView, submission(), headers=headers)
    second = master.admin().call("submit", JobView, submission(), headers=headers)
    other = master.admin().call("submit", JobView, submission())
    assert first.id == second.id != other.id
    cancelled = master.admin().call("job_cancel", JobView, job=first.id)
    assert cancelled.state == "cancelled"
    assert master.admin().call("job_cancel", JobView, job=first.id).state == "cancelled"
    with pytest.raises(Conflict, match="no result"):
        master.admin(retries=0).request("job_result", job=first.id)


def test_jobs_come_a_page_at_a_time_newest_first(master: RunningMaster, with_image: None) -> None:
    made = [master.admin().call("submit", JobView, submission()).id for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None and len(seen) < 5:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = master.admin().call("jobs", JobPage, params=params)
        seen += [job.id for job in page.jobs]
        cursor = page.next
    assert seen[:5] == made[::-1]
    for params in ({"limit": "0"}, {"limit": "x"}, {"cursor": "nonsense"}):
        with pytest.raises(BadRequest):
            master.admin(retries=0).call("jobs", JobPage, params=params)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"image": "nobody/has-it"}, "unknown_image"),
        ({"input": InputSpec(split="range", start=5, stop=5)}, "invalid_job"),
        ({"input": InputSpec(split="lines")}, "invalid_job"),
        ({"verify": VerifySpec(quorum=0)}, "invalid_job"),
        ({"map": ProgramSpec()}, "invalid_job"),
        ({"map": ProgramSpec(command=[])}, "invalid_job"),
        ({"name": ""}, "invalid_job"),
    ],
)
def test_a_job_that_cannot_run_is_refused_and_not_stored(
    master: RunningMaster, with_image: None, spec: dict[str, object], code: str
) -> None:
    before = len(master.admin().call("jobs", JobPage, params={"limit": 500}).jobs)
    with pytest.raises(DockercompError) as refused:
        master.admin(retries=0).call("submit", JobView, submission(**spec))
    assert refused.value.code == code
    assert len(master.admin().call("jobs", JobPage, params={"limit": 500}).jobs) == before


def test_inputs_that_were_not_uploaded_are_named(master: RunningMaster, with_image: None) -> None:
    lines = InputSpec(split="lines")
    request = msgspec.structs.replace(
        submission(input=lines), inputs=[InputFile(name="data.csv", digest="0" * 64, size=5)]
    )
    with pytest.raises(InvalidJob, match=r"data\.csv was not uploaded"):
        master.admin(retries=0).call("submit", JobView, request)


def test_unknown_things_are_not_found(master: RunningMaster) -> None:
    for name, parts in (("job", {"job": "j0"}), ("client", {"client": "c0"})):
        with pytest.raises(NotFound):
            master.admin(retries=0).call(name, dict, **parts)


def test_an_error_that_is_not_ours_is_still_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(DockercompError, match="no answer"):
        Connection("http://127.0.0.1:1", retries=0).call("healthz", Health)
