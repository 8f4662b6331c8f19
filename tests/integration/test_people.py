"""People, sessions, tokens, revocation: what ends when, and who sees whose jobs, on the application and a mongod."""

import hashlib
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from werkzeug.test import TestResponse

from dockercomp.protocol.errors import Conflict, Forbidden, InvalidJob, Unauthorized, Unavailable
from dockercomp.protocol.messages import EnrolRequest
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec
from dockercomp.protocol.parts import content_digest
from dockercomp.protocol.people import ApiTokenAnswer, ApiTokenRequest, Identity, PasswordLink
from dockercomp.protocol.views import InputFile, SubmitRequest
from server.audit import Actor, Asked, Audit
from server.rights import Reach, Rights
from server.store.audit import AuditLog
from server.tokens import Tokens
from tests.integration.people_parts import PASSWORD, World, world
from tests.integration.simulated import CEILING, MACHINE

NEW = "another long password"


@pytest.fixture(scope="module")
def shared(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(mongo_uri, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def here(shared: World) -> World:
    shared.reset()
    return shared


def log_in(here: World, name: str, password: str, address: str = "192.0.2.1") -> TestResponse:
    form = {"name": name, "password": password}
    return here.browser().post("/login", data=form, environ_base={"REMOTE_ADDR": address})


def audited(here: World, **asked: str) -> list[tuple[str, str, str]]:
    return [(each.person, each.kind, each.outcome) for each in Audit(here.store).page(Asked(**asked)).entries]


# --- whose jobs ------------------------------------------------------------------------------------------------------


def test_scientists_see_their_own_jobs_everybody_else_sees_all(here: World) -> None:
    job = here.master.submit(3, quorum=1)
    for caller, sees in {"ada": True, "eve": False, "viola": True, "root": True, "root for own jobs": False}.items():
        listed = here.call("GET", "/api/v1/jobs", here.callers[caller]).json
        assert [each["id"] for each in listed["jobs"]] == [job] * sees, caller
    for person, sees in {"ada": True, "eve": False, "viola": True}.items():
        browser = here.browser(person)
        for page in ("/", "/jobs"):
            assert (job in browser.get(page).text) is sees, (person, page)
        assert ("<dd>1</dd>" in browser.get("/?part=numbers").text.replace("\n", "")) is sees


def test_anothers_job_and_none_are_refused_in_the_same_words(here: World) -> None:
    job = here.master.submit(3, quorum=1)
    answers = [here.call("GET", f"/api/v1/jobs/{each}", here.callers["eve"]) for each in (job, "j0123456789")]
    told = [answer.json["detail"].replace(job, "JOB").replace("j0123456789", "JOB") for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404] and told[0] == told[1]


def test_anothers_chunk_is_not_reached_by_way_of_an_own_job(here: World) -> None:
    theirs = here.master.submit(3, quorum=1)
    volunteer = here.volunteers["client"]
    volunteer.work(3)
    volunteer.work(0)
    own = here.master.submission.submit("eve", SubmitRequest(spec=spec_of("range")), "")["_id"]
    chunk = f"{theirs}.0.000000000000"
    for what in ("", "/picture"):
        assert here.browser("eve").get(f"/jobs/{own}/chunks/{chunk}{what}").status_code == 404
        assert here.browser("ada").get(f"/jobs/{theirs}/chunks/{chunk}").status_code == 200
    assert here.browser("root").get(f"/jobs/{own}/chunks/{chunk}").status_code == 404, "no page tells of two jobs"


def spec_of(split: Any, **changed: Any) -> JobSpec:
    given = InputSpec(split=split, start=0, stop=3, per_chunk=1) if split == "range" else InputSpec(split=split)
    return JobSpec(**{"name": "n", "image": "i", "input": given, "map": ProgramSpec(command=["true"]), **changed})


def upload(here: World, caller: str, data: bytes, at: int = 0, size: int = -1, named: bytes | None = None) -> Any:
    """Send `data` from byte `at` of the upload that `named`, or the data itself, is."""
    whole = data if named is None else named
    digest = hashlib.sha256(whole).hexdigest()
    query = {"offset": at, "size": len(whole) if size < 0 else size}
    headers = {"Content-Digest": content_digest(data), "Authorization": f"Bearer {here.callers[caller]}"}
    path = f"/api/v1/blobs/{digest}"
    return here.app.test_client().put(path, query_string=query, headers=headers, data=data, buffered=True)


def test_knowing_a_digest_opens_nothing_that_another_uploaded(here: World) -> None:
    data = secrets.token_bytes(3000)
    digest = hashlib.sha256(data).hexdigest()
    assert upload(here, "ada", data).json["complete"]
    file = InputFile(name="data", digest=digest, size=len(data))
    bodies = {
        "input": SubmitRequest(spec=spec_of("bytes"), inputs=[file]),
        "program": SubmitRequest(spec=spec_of("range"), program=digest),
        "list": SubmitRequest(spec=spec_of("bytes"), input_list=digest),
    }

    def refused(caller: str) -> dict[str, bool]:
        sent = {what: here.call("POST", "/api/v1/jobs", here.callers[caller], data=msgspec.json.encode(body))
                for what, body in bodies.items()}  # fmt: skip
        return {what: "was not uploaded" in answer.text for what, answer in sent.items()}

    assert refused("eve") == {"input": True, "program": True, "list": True}
    asked = here.call("POST", "/api/v1/blobs/missing", here.callers["eve"], json={"digests": [digest]})
    assert asked.json["digests"] == [digest]
    assert not here.call("GET", f"/api/v1/blobs/{digest}/status", here.callers["eve"]).json.get("complete")
    register = {"name": "eves", "archive": digest, "size": len(data)}
    answer = here.call("POST", "/api/v1/images", here.callers["eve"], json=register)
    assert "was not uploaded" in answer.text

    assert not any(refused("ada").values())


def test_whoever_has_the_bytes_shows_them_once_to_the_last(here: World) -> None:
    data = secrets.token_bytes(3000)
    upload(here, "ada", data)
    guesses = [
        upload(here, "eve", b"", size=0, named=data),
        upload(here, "eve", data[:1], size=1, named=data),
        upload(here, "eve", data[-1:], at=2999, named=data),
        upload(here, "eve", b"x" * 3000, named=data),
    ]
    assert not any(answer.json.get("complete") for answer in guesses)
    assert guesses[-1].json["offset"] == 1, "what she has shown stays shown"
    assert upload(here, "eve", data[1:], at=1, named=data).json["complete"]
    asked = here.call("GET", f"/api/v1/blobs/{hashlib.sha256(data).hexdigest()}/status", here.callers["eve"])
    assert asked.json["complete"] and asked.json["offset"] == 3000


def test_who_finishes_what_another_began_shows_the_beginning_too(here: World) -> None:
    data = secrets.token_bytes(3000)
    assert upload(here, "ada", data[:2000], named=data).json["offset"] == 2000
    assert upload(here, "eve", data[2000:], at=2000, named=data).json == {
        "digest": hashlib.sha256(data).hexdigest(), "offset": 0, "complete": False,
    }  # fmt: skip
    assert upload(here, "eve", data, named=data).json["complete"]
    assert upload(here, "ada", data[2000:], at=2000, named=data).json["complete"]


def completed(here: World) -> str:
    job = here.master.submit(3, quorum=1)
    volunteer = here.volunteers["client"]
    for want in (3, 0):
        volunteer.work(want)
    assert (here.store.jobs.by_id(job) or {})["state"] == "completed"
    return job


@pytest.mark.parametrize("listed", [False, True], ids=["named", "in a list"])
def test_anothers_result_cannot_be_an_input(here: World, listed: bool) -> None:
    job = completed(here)
    file = InputFile(name="theirs", job=job)
    request = SubmitRequest(spec=spec_of("lines"), inputs=[file])
    if listed:
        data = b'{"name": "theirs", "\\u006aob": "' + job.encode() + b'"}\n'
        request = SubmitRequest(spec=spec_of("lines"), input_list=hashlib.sha256(data).hexdigest())
        for caller in ("eve", "ada", "root"):
            upload(here, caller, data)
    body = msgspec.json.encode(request)
    for path in ("/api/v1/jobs", "/api/v1/forecast"):
        refused = here.call("POST", path, here.callers["eve"], data=body)
        assert refused.status_code == 422 and f"job:{job}" in refused.json["detail"], refused.text
        assert here.call("POST", path, here.callers["root for own jobs"], data=body).status_code == 422
        assert here.call("POST", path, here.callers["ada"], data=body).status_code in (200, 201)
    with pytest.raises(InvalidJob):
        here.master.submission.submit("eve", request, "", Reach(Rights("eve", "scientist").sees, lambda _: True))


def test_a_client_reads_programs_of_jobs_that_it_holds_leases_of(here: World) -> None:
    job = here.master.submit(9, quorum=3)
    made = sorted((here.enrolled() for _ in range(3)), key=lambda each: each[0].id)
    for volunteer in (made[0][0], made[2][0]):  # leases of clients before and after the one that has none
        assert volunteer.send(volunteer.request(9)).leases
    path = f"/api/v1/jobs/{job}/program"
    told = [here.call("GET", path, token).json["detail"] for _, token in made]
    assert told[0] == told[2] == "this job has no program folder"
    assert told[1] == f"this client holds no lease of a job {job}"


def test_scientists_are_not_told_where_volunteers_are(here: World) -> None:
    job = here.master.submit(3, quorum=1)
    client = here.volunteers["client"].id
    set_to = {"address": "192.0.2.77", "status": f"waits for the image of job {job}"}
    here.store.database["clients"].update_one({"_id": client}, {"$set": set_to})
    for caller, sees in {"ada": (False, True), "eve": (False, False), "viola": (True, True)}.items():
        browser = here.browser(caller)
        for text in (
            here.call("GET", f"/api/v1/clients/{client}", here.callers[caller]).text,
            here.call("GET", "/api/v1/clients", here.callers[caller]).text + (job if sees[1] else ""),
            browser.get(f"/clients/{client}").text,
        ):
            assert (("192.0.2.77" in text), (job in text)) == sees, caller
        explained = here.call("GET", f"/api/v1/explain/{client}", here.callers[caller]).text
        assert (job in explained) is sees[1]


def test_a_client_whose_name_looks_a_little_like_a_job_is_explained_to_scientists(here: World) -> None:
    client = here.volunteers["client"].id
    here.store.database["clients"].update_one({"_id": client}, {"$set": {"name": "jeff"}})
    assert here.call("GET", "/api/v1/explain/jeff", here.callers["eve"]).json["subject"] == client


# --- what ends, and when ---------------------------------------------------------------------------------------------


def test_a_new_password_ends_all_sessions_and_tokens_but_the_one_that_asked(here: World) -> None:
    first, second = here.browser("ada"), here.browser("ada")
    form = {"old": PASSWORD, "password": NEW, "again": NEW}
    assert first.post("/account/password", data={**form, "old": "wrong"}).status_code == 403
    assert first.post("/account/password", data={**form, "again": "other"}).status_code == 422
    assert first.post("/account/password", data={**form, "password": "short", "again": "short"}).status_code == 422
    assert here.call("GET", "/api/v1/identity", here.callers["ada"]).status_code == 200
    assert first.post("/account/password", data=form).status_code == 303
    assert (first.get("/").status_code, second.get("/").status_code) == (200, 303)
    assert here.call("GET", "/api/v1/identity", here.callers["ada"]).status_code == 401
    assert (log_in(here, "ada", PASSWORD).status_code, log_in(here, "ada", NEW).status_code) == (401, 303)


def test_a_token_made_while_the_password_changes_does_not_outlive_it(here: World) -> None:
    made = here.token("ada")
    before = here.store.users.by_name("ada")
    here.people.set_password("ada", NEW)
    late = here.store.credentials.make("api", *valid(), user="ada", generation=before["generation"], scope="admin")
    for token in (made, late):
        assert here.call("GET", "/api/v1/identity", token).status_code == 401


def valid() -> tuple[datetime, timedelta]:
    return datetime.now(timezone.utc), timedelta(days=1)


def test_removing_a_person_ends_everything_at_once_and_a_new_one_of_the_name_gets_nothing_of_it(here: World) -> None:
    browser, link = here.browser("ada"), here.people.login_link("ada", "")
    root = here.callers["root"]
    assert here.call("DELETE", "/api/v1/people/ada", root).status_code == 200
    ended = [browser.get("/").status_code, here.call("GET", "/api/v1/identity", here.callers["ada"]).status_code]
    assert ended == [303, 401] and here.browser().get(link).status_code == 410
    assert here.call("DELETE", "/api/v1/people/ada", root).status_code == 404
    here.people.add("ada", "scientist", NEW)
    assert browser.get("/").status_code == 303, "a session is of one account, not of a name"
    assert here.call("GET", "/api/v1/identity", here.callers["ada"]).status_code == 401


def test_another_role_counts_at_once_for_sessions_and_tokens(here: World) -> None:
    browser = here.browser("ada")
    assert browser.get("/people").status_code == 403
    for role, status in (("admin", 200), ("viewer", 403)):
        answer = here.call("PUT", "/api/v1/people/ada/role", here.callers["root"], json={"role": role})
        assert answer.status_code == 200
        assert browser.get("/people").status_code == status
        assert here.call("GET", "/api/v1/people", here.callers["ada"]).status_code == status


def test_logging_out_everywhere_ends_sessions_and_leaves_tokens(here: World) -> None:
    one, other = here.browser("ada"), here.browser("ada")
    assert one.post("/account/logout").status_code == 303
    assert (one.get("/").status_code, other.get("/").status_code) == (303, 303)
    assert here.call("GET", "/api/v1/identity", here.callers["ada"]).status_code == 200
    again = here.browser("ada")
    assert here.call("POST", "/api/v1/people/ada/logout", here.callers["root"]).status_code == 200
    assert again.get("/").status_code == 303


def test_the_last_admin_stays_one(here: World) -> None:
    root = here.callers["root"]
    assert here.call("DELETE", "/api/v1/people/root", root).status_code == 409
    assert here.call("PUT", "/api/v1/people/root/role", root, json={"role": "viewer"}).status_code == 409
    page = here.browser("root").post("/people/root/remove")
    assert page.status_code == 409 and "last admin" in page.text
    here.people.set_role("ada", "admin")
    assert here.call("DELETE", "/api/v1/people/root", here.callers["ada"]).status_code == 200


def test_where_there_is_no_admin_the_server_makes_one(here: World) -> None:
    assert here.people.an_admin() == "root"
    here.store.users.remove("root")
    assert here.people.an_admin() == "admin" == here.people.an_admin()
    here.store.users.set_role("admin", "viewer")
    assert here.people.an_admin() == "admin"
    assert here.people.by_name("admin").role == "admin"  # type: ignore[union-attr]


# --- links -----------------------------------------------------------------------------------------------------------


def test_a_new_person_chooses_a_password_by_a_link_once(here: World) -> None:
    answer = here.call("POST", "/api/v1/people", here.callers["root"], json={"name": "nia", "role": "viewer"})
    path = "/password/" + msgspec.json.decode(answer.data, type=PasswordLink).link.rpartition("/")[2]
    assert here.call("POST", "/api/v1/people", here.callers["root"], json={"name": "nia"}).status_code == 409
    assert log_in(here, "nia", "").status_code == 422 and log_in(here, "nia", "x").status_code == 401
    browser = here.browser()
    assert "Welcome, nia" in browser.get(path).text, "looking does not use it up"
    assert browser.post(path, data={"password": "short", "again": "short"}).status_code == 422
    assert browser.post(path, data={"password": NEW, "again": NEW}).status_code == 303
    assert browser.get("/").status_code == 200
    assert here.browser().post(path, data={"password": PASSWORD, "again": PASSWORD}).status_code in (410, 422)
    assert log_in(here, "nia", NEW).status_code == 303


def test_a_password_link_ends_with_the_password_it_was_made_beside(here: World) -> None:
    old = here.people.password_link("ada", "")
    here.people.set_password("ada", NEW)
    assert here.browser().get(old).status_code == 410


@pytest.mark.parametrize("name", ["", "a b", "../x", "a\nb", "é", ".x", "x" * 65, "x\n"])
def test_names_are_plain(here: World, name: str) -> None:
    assert here.call("POST", "/api/v1/people", here.callers["root"], json={"name": name}).status_code == 400


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_listed_with_its_last_use_and_revoked(here: World) -> None:
    answer = here.call("POST", "/api/v1/tokens", here.callers["ada"], json={"label": "laptop", "scope": "read"})
    made = msgspec.json.decode(answer.data, type=ApiTokenAnswer)
    listed = here.call("GET", "/api/v1/tokens", here.callers["ada"])
    assert made.token not in listed.text
    (view,) = (each for each in listed.json["tokens"] if each["id"] == made.view.id)
    assert (view["label"], view["scope"], view.get("used", "")) == ("laptop", "read", "")
    me = here.call("GET", "/api/v1/identity", made.token)
    assert msgspec.json.decode(me.data, type=Identity).scope == "read"
    listed = here.call("GET", "/api/v1/tokens", here.callers["ada"]).json["tokens"]
    assert next(each for each in listed if each["id"] == made.view.id)["used"]
    stored = here.store.database["credentials"].find({"kind": "api"})
    assert made.token not in repr(list(stored))
    for caller, status in (("eve", 404), ("ada to read", 403), ("ada", 200), ("ada", 404)):
        answer = here.call("DELETE", f"/api/v1/tokens/{made.view.id}", here.callers[caller])
        assert answer.status_code == status, caller
    assert here.call("GET", "/api/v1/identity", made.token).status_code == 401


def test_an_admin_lists_and_revokes_everybodys(here: World) -> None:
    everybodys = here.call("GET", "/api/v1/tokens?all=yes", here.callers["root"]).json["tokens"]
    assert {each["person"] for each in everybodys} == {"root", "ada", "eve", "viola"}
    for_eve = here.call("GET", "/api/v1/tokens?all=yes", here.callers["eve"]).json["tokens"]
    assert {each["person"] for each in for_eve} == {"eve"}
    (token,) = (each["id"] for each in for_eve)
    assert here.call("DELETE", f"/api/v1/tokens/{token}", here.callers["root"]).status_code == 200
    assert here.call("GET", "/api/v1/identity", here.callers["eve"]).status_code == 401


def test_a_token_gives_no_more_and_lasts_no_longer_than_the_one_that_asked(here: World) -> None:
    lends = here.callers["ada to submit"]
    assert here.call("POST", "/api/v1/tokens", lends, json={"scope": "admin"}).status_code == 403
    made = here.call("POST", "/api/v1/tokens", lends, json={"scope": "submit", "valid_days": 300})
    own = here.call("GET", "/api/v1/identity", lends).json["expires"]
    assert made.status_code == 201 and made.json["view"]["expires"] <= own
    with pytest.raises(Forbidden):
        Tokens(here.store).make(Rights("root", "admin", own=True), ApiTokenRequest(scope="read"))
    with pytest.raises(Unauthorized):
        Tokens(here.store).make(Rights("nobody", "admin"), ApiTokenRequest())


@pytest.mark.parametrize("days", [0, -1, 4000])
def test_a_token_has_an_end(here: World, days: float) -> None:
    assert here.call("POST", "/api/v1/tokens", here.callers["ada"], json={"valid_days": days}).status_code == 400


# --- machines --------------------------------------------------------------------------------------------------------


def enrol(here: World, token: str, request: str) -> str:
    asked = EnrolRequest(token=token, machine=MACHINE, ceiling=CEILING, request=request)
    return here.master.enrolment.enrol(asked, "192.0.2.1").client


def test_revoking_an_enrolment_token_retires_its_clients_at_their_next_sync(here: World) -> None:
    root = here.callers["root"]
    made = here.call("POST", "/api/v1/enrolment-tokens", root, json={"owner": "lab", "uses": 5, "trusted": True}).json
    volunteer, secret = here.enrolled()
    machine = secrets.token_hex(8)
    joined = enrol(here, made["token"], machine)
    tokens = here.call("GET", "/api/v1/enrolment-tokens", root).json["tokens"]
    (listed,) = (each for each in tokens if each["owner"] == "lab" and each["trusted"])
    assert (listed["clients"], listed["uses_left"], listed["made_by"]) == (1, 4, "root")
    (unrelated,) = (each for each in tokens if each["id"] != listed["id"])
    here.master.submit(9, quorum=1)
    assert volunteer.send(volunteer.request(2)).leases, "it works"

    answer = here.call("DELETE", f"/api/v1/enrolment-tokens/{unrelated['id']}?retire=yes", root)
    assert answer.status_code == 200 and answer.json["clients"] == 3
    with pytest.raises(Unauthorized):
        volunteer.send(volunteer.request(2))
    assert here.call("GET", "/api/v1/leases/x/input", secret).status_code == 401
    assert here.store.chunks.held_by(volunteer.id) == [], "its chunks went back"
    with pytest.raises(Unauthorized):
        enrol(here, here.master.token, secrets.token_hex(8))
    assert enrol(here, made["token"], machine) == joined, "others are untouched"
    assert here.call("DELETE", f"/api/v1/enrolment-tokens/{unrelated['id']}?retire=yes", root).status_code == 404


def test_what_a_machine_is_trusted_with_follows_the_token_it_came_by_last(here: World) -> None:
    def token(owner: str, trusted: bool) -> str:
        request = {"owner": owner, "uses": 5, "trusted": trusted}
        return here.call("POST", "/api/v1/enrolment-tokens", here.callers["root"], json=request).json["token"]

    machine = secrets.token_hex(8)
    client = enrol(here, token("lab", True), machine)
    assert enrol(here, token("guests", False), machine) == client
    stored = here.store.clients.by_id(client)
    assert stored is not None and (stored["owner"], stored["trusted"]) == ("guests", False)


def test_a_client_that_an_admin_retires_does_not_come_back_by_its_token(here: World) -> None:
    machine = secrets.token_hex(8)
    client = enrol(here, here.master.token, machine)
    assert here.call("DELETE", f"/api/v1/clients/{client}", here.callers["root"]).status_code == 200
    with pytest.raises(Unauthorized, match="retired this machine"):
        enrol(here, here.master.token, machine)
    assert here.call("DELETE", "/api/v1/clients/c0", here.callers["root"]).status_code == 404


# --- guessing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ada", "no-such-person"])
def test_guessing_is_slowed_down_by_name_across_addresses_and_tells_nothing(here: World, name: str) -> None:
    statuses = [log_in(here, name, f"guess {n}", f"192.0.2.{n}").status_code for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert log_in(here, name, PASSWORD, "192.0.2.200").status_code == 429, (
        "also the right one, until the minute is over"
    )
    assert log_in(here, "eve", PASSWORD, "192.0.2.1").status_code == 303, "others get in"


def test_guessing_is_slowed_down_by_address_across_names(here: World) -> None:
    statuses = [log_in(here, f"name-{n}", "guess").status_code for n in range(31)]
    assert statuses == [401] * 30 + [429]
    link = here.people.login_link("root", "")
    entered = here.browser().post(link, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert entered.status_code == 303, "a link of the server's command lets an admin in all the same"


# --- the audit log ---------------------------------------------------------------------------------------------------


def test_logins_and_failures_are_in_the_log_but_no_password_typed_as_a_name(here: World) -> None:
    log_in(here, "ada", PASSWORD)
    log_in(here, "ada", "wrong")
    log_in(here, "my secret password", "x")
    assert audited(here, kind="login") == [
        ("nobody", "login", "unauthorized"),
        ("nobody", "login", "unauthorized"),
        ("ada", "login", "done"),
    ]
    stored = list(here.store.database["audit"].find())
    assert "secret password" not in repr(stored) and PASSWORD not in repr(stored)
    assert [each["subject"] for each in stored] == ["ada", "ada", "(nobody's name)"]


def test_changes_and_refused_ones_are_in_the_log_with_their_token(here: World) -> None:
    job = here.master.submit(3, quorum=1)
    here.call("POST", f"/api/v1/jobs/{job}/cancel", here.callers["eve"])
    here.call("POST", f"/api/v1/jobs/{job}/cancel", here.callers["ada"])
    here.call("POST", f"/api/v1/jobs/{job}/cancel", "nonsense")
    here.call("POST", f"/api/v1/jobs/{job}/cancel", here.callers["client"])
    assert audited(here, subject=job) == [("ada", "job_cancel", "done"), ("eve", "job_cancel", "not_found")]
    (entry, _) = Audit(here.store).page(Asked(subject=job)).entries
    mine = here.call("GET", "/api/v1/tokens", here.callers["ada"]).json["tokens"]
    assert entry.by in {each["id"] for each in mine} and entry.address == "127.0.0.1"


def test_what_came_too_often_costs_no_entry(here: World) -> None:
    path, token = "/api/v1/login-links", here.callers["root"]
    statuses = {here.call("POST", path, token).status_code for _ in range(61)}
    assert statuses == {201, 429}
    assert len(audited(here, kind="login_link")) == 60


def test_the_log_is_read_a_page_at_a_time_and_by_what_is_asked(here: World) -> None:
    log = Audit(here.store)
    for number in range(7):
        log.record(Actor(f"p{number % 2}", "session"), "test", f"s{number}")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = log.page(Asked(kind="test"), cursor, 3)
        seen += [each.subject for each in page.entries]
        cursor = page.next
    assert seen == [f"s{number}" for number in reversed(range(7))]
    assert [each.subject for each in log.page(Asked(person="p1", kind="test")).entries] == ["s5", "s3", "s1"]
    first = log.page(Asked(subject="s3")).entries[0].at
    after = [each.subject for each in log.page(Asked(kind="test", since=first)).entries]
    before = [each.subject for each in log.page(Asked(kind="test", until=first)).entries]
    assert set(before) | set(after) == set(seen) and "s3" in after and "s3" not in before
    for odd in ("yesterday", "2026-13-01", "\x00"):
        assert here.call("GET", "/api/v1/audit", here.callers["root"], query_string={"since": odd}).status_code == 400
        assert here.call("GET", "/api/v1/audit", here.callers["root"], query_string={"cursor": odd}).status_code == 400


def test_the_log_can_only_be_added_to() -> None:
    assert {name for name in vars(AuditLog) if not name.startswith("_")} == {"append", "page"}


def test_what_is_not_in_the_log_is_answered_as_not_done(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise Unavailable("MongoDB cannot be reached")

    monkeypatch.setattr(here.store.audit, "append", lost)
    answer = here.call("POST", "/api/v1/people", here.callers["root"], json={"name": "nia"})
    assert answer.status_code == 503


def test_conflicts_name_who_is_there(here: World) -> None:
    with pytest.raises(Conflict, match="root is the last admin"):
        here.people.remove("root")
