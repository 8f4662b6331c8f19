"""Jobs signed by their scientist, from the submission to the worker's gate: real databases, a real master."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dockercomp import keys
from dockercomp.client import Client
from dockercomp.keys import SigningKey
from dockercomp.protocol.errors import BadRequest, Conflict, Forbidden, InvalidJob, NotFound, UnknownImage
from dockercomp.protocol.keychain import KeyChain
from dockercomp.protocol.messages import SignedOrder
from dockercomp.protocol.orders import (
    ImagePin,
    InputSpec,
    JobSpec,
    ProgramSpec,
    StageOrder,
    WantsSpec,
    decode_order,
    encode_order,
)
from dockercomp.protocol.scientists import KeyList, KeyRegistration, KeyView
from dockercomp.protocol.signing import fingerprint, prove_possession, public_key, sign_order
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import Explanation, Forecast, JobView, SubmitRequest
from server.people import People
from server.scientists import Scientists
from server.store import Store
from tests.integration.masters import RunningMaster, running_master
from tests.integration.simulated import CEILING, Master
from worker.admission import Refused, admit
from worker.consent import LOCKED, Consent

PIN = ImagePin(name="i", config_digest="sha256:" + "1" * 64, platform="linux/amd64")
ADA, EVE = bytes([7]) * 32, bytes([8]) * 32
MASTER_SEED = b"s" * 32
BOTH = Consent(signers="both")
SCIENTISTS_FIELDS = ("scientist_key", "scientist", "scientist_signature")


def request_of(**changes: Any) -> SubmitRequest:
    fields: dict[str, Any] = {
        "name": "n",
        "image": "i",
        "input": InputSpec(split="range", stop=3),
        "map": ProgramSpec(command=["sh", "-c", "cp a {output_dir}"]),
    }
    return SubmitRequest(spec=JobSpec(**{**fields, **changes}))


def registered(store: Store, seed: bytes = ADA, owner: str = "ada") -> Scientists:
    found = Scientists(store)
    found.register(public_key(seed), owner, KeyRegistration(proof=prove_possession(seed), label="laptop"))
    return found


def signed(request: SubmitRequest, seed: bytes = ADA, name: str = "ada", pin: ImagePin = PIN) -> SubmitRequest:
    return SigningKey(seed, name).sign(request, pin, "nonce")


def order_for_a_worker(master: Master) -> SignedOrder:
    (found,) = master.volunteer().send(master.volunteer().request(1)).orders
    return found


def admitted(order: SignedOrder, consent: Consent) -> bool:
    try:
        admit(order, [public_key(MASTER_SEED)], "linux/amd64", consent)
    except Refused:
        return False
    return True


def test_a_signed_job_reaches_workers_with_both_signatures(store: Store) -> None:
    master = Master(store)
    registered(store)
    master.submission.submit("ada", signed(request_of(wants=WantsSpec())), "")
    order = order_for_a_worker(master)
    assert admitted(order, BOTH) and admitted(order, Consent(scientists=(fingerprint(public_key(ADA)),)))
    assert decode_order(order.body).stages[0].program.outputs == ["**"]


def test_a_job_from_the_browser_carries_the_masters_alone(store: Store) -> None:
    master = Master(store)
    master.submission.submit("ada", request_of(), "")
    order = order_for_a_worker(master)
    assert admitted(order, LOCKED) and not admitted(order, BOTH)


def test_a_stolen_database_or_a_stolen_master_key_alone_gets_nothing_past_both_signatures(store: Store) -> None:
    master = Master(store)
    registered(store)
    job = str(master.submission.submit("ada", signed(request_of()), "")["_id"])
    order = decode_order(store.database["jobs"].find_one({"_id": job})["order"])  # type: ignore[index]
    mine = [StageOrder(program=ProgramSpec(command=["mine"]))]
    body = encode_order(msgspec.structs.replace(order, stages=mine))

    store.database["jobs"].update_one({"_id": job}, {"$set": {"order": body}})
    assert not admitted(order_for_a_worker(master), LOCKED)

    forged = sign_order(job, body, MASTER_SEED)
    store.database["jobs"].update_one({"_id": job}, {"$set": {"signature": forged.signature}})
    assert not admitted(order_for_a_worker(master), LOCKED), "a scientist's signature that is there is always checked"
    store.database["jobs"].update_one({"_id": job}, {"$unset": dict.fromkeys(SCIENTISTS_FIELDS, "")})
    with_the_masters_key = order_for_a_worker(master)
    assert admitted(with_the_masters_key, LOCKED) and not admitted(with_the_masters_key, BOTH)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (signed(request_of(), EVE), "is not registered as yours"),
        (signed(request_of(), name="bob"), "of another scientist"),
        (msgspec.structs.replace(signed(request_of()), spec=request_of(setup=["rm"]).spec), "not the one that was"),
        (signed(request_of(), pin=msgspec.structs.replace(PIN, config_digest="sha256:" + "2" * 64)), "pushed anew"),
        (msgspec.structs.replace(signed(request_of()), signature=b"x" * 64), "not genuine"),
        (msgspec.structs.replace(signed(request_of()), signature=b""), "not genuine"),
        (msgspec.structs.replace(signed(request_of()), scientist_key="/" * 64), "not genuine"),
    ],
    ids=["unregistered", "name", "job", "image", "signature", "missing", "key"],
)
def test_a_signature_that_is_not_the_owners_over_this_job_stores_nothing(
    store: Store, request_: SubmitRequest, why: str
) -> None:
    master = Master(store)
    registered(store)
    with pytest.raises(InvalidJob, match=why):
        master.submission.submit("ada", request_, "")
    assert store.database["jobs"].count_documents({}) == 0


def test_a_job_can_be_held_to_an_image(store: Store) -> None:
    master = Master(store)
    registered(store)
    held = request_of(image=f"i@{PIN.config_digest}")
    master.submission.submit("ada", signed(held), "")
    assert admitted(order_for_a_worker(master), BOTH)
    with pytest.raises(UnknownImage, match="not the one that the job is held to"):
        master.submission.submit("ada", request_of(image="i@sha256:" + "2" * 64), "")


def test_a_revoked_key_signs_nothing_more(store: Store) -> None:
    master = Master(store)
    scientists = registered(store)
    with pytest.raises(NotFound):
        scientists.revoke(public_key(ADA), "bob")
    first = scientists.revoke(public_key(ADA), "ada")
    assert first.revoked and scientists.revoke(public_key(ADA), None).revoked == first.revoked
    with pytest.raises(Forbidden, match="was revoked"):
        master.submission.submit("ada", signed(request_of()), "")
    with pytest.raises(Forbidden, match="was revoked"):
        registered(store)


def test_the_keys_of_a_person_who_is_removed_sign_nothing_more(store: Store) -> None:
    people, scientists = People(store), registered(store)
    for name in ("ada", "bob"):
        people.add(name, "admin", "a password of theirs")
    registered(store, EVE, "bob")
    people.remove("ada")
    assert [(view.owner, bool(view.revoked)) for view in scientists.keys(None)] == [("ada", True), ("bob", False)]


def test_nobody_registers_keys_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.scientists.MOST_KEYS", 1)
    registered(store)
    registered(store)
    with pytest.raises(Forbidden, match="registered 1 keys"):
        registered(store, EVE)
    registered(store, EVE, "eve")


def test_nobody_registers_anothers_key(store: Store) -> None:
    scientists = registered(store)
    with pytest.raises(Conflict, match="under another name"):
        registered(store, ADA, "eve")
    borrowed = KeyRegistration(proof=prove_possession(EVE))
    with pytest.raises(BadRequest, match="proof of possession"):
        scientists.register(public_key(ADA), "eve", borrowed)
    with pytest.raises(BadRequest):
        scientists.register("no key", "eve", borrowed)
    assert [view.owner for view in scientists.keys(None)] == ["ada"] and scientists.keys("eve") == []


# --- wants -----------------------------------------------------------------------------------------------------------


def test_a_job_is_handed_only_to_clients_that_allow_what_it_wants(store: Store) -> None:
    master = Master(store)
    master.submission.submit("ada", request_of(wants=WantsSpec(network=True)), "")
    locked, open_ = master.volunteer(), master.volunteer()
    refused = locked.send(locked.request(5))
    assert not refused.leases and "DC_ALLOW=network" in refused.why_idle
    allowing = msgspec.structs.replace(CEILING, allows=["network"])
    given = open_.send(msgspec.structs.replace(open_.request(5), ceiling=allowing))
    assert len(given.leases) == 3 and decode_order(given.orders[0].body).wants == WantsSpec(network=True)


def test_jobs_that_want_more_do_not_crowd_out_those_that_a_client_can_run(store: Store) -> None:
    master = Master(store)
    for number in range(3):
        master.submission.submit("ada", request_of(name=f"w{number}", wants=WantsSpec(network=True)), "")
    plain = str(master.submission.submit("ada", request_of(name="plain"), "")["_id"])
    found = store.jobs.running_for("linux/amd64", 2**40, [], limit=1)
    assert [job["_id"] for job in found] == [plain]
    assert len(store.jobs.running_for("linux/amd64", 2**40, [], allows=["network", "disk"])) == 4


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("m")) as running:
        with running.store() as store:
            Master(store)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "job"
    place.mkdir()
    (place / "job.toml").write_text(
        'name = "n"\nimage = "i"\n[input]\nsplit = "product"\nparameters.x = [1, 2]\n[map]\ncommand = ["echo", "{x}"]\n'
        "[reduce]\ncommand = [\"cat\"]\n[wants]\nnetwork = true\nreason = 'It looks things up.'\n"
    )
    return place


def test_the_command_line_signs_and_says_who_consents(
    master: RunningMaster, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DC_SIGNING_KEY", str(tmp_path / "key"))
    with Client(master.url, master.admin_token) as client:
        made = client.submit(folder)
        again = client.submit(folder)
    key = public_key(keys.seed_at(tmp_path / "key"))
    for job in (made, again):
        view = master.admin().call("job", JobView, job=job.id)
        assert view.scientist_key == fingerprint(key)
        assert view.wants == "it wants network: 0 of 0 connected clients allow that"
    with master.store() as store:
        document = store.database["jobs"].find_one({"_id": made.id})
    assert document is not None
    order = SignedOrder(
        job=made.id, body=document["order"], key=document["key"], signature=document["signature"],
        scientist_key=document["scientist_key"], scientist=document["scientist"],
        scientist_signature=document["scientist_signature"],
    )  # fmt: skip
    masters_own = Connection(master.url).call("master_keys", KeyChain).key
    everything = Consent(signers="both", scientists=(fingerprint(key),), allows=("network",))
    assert admit(order, [masters_own], "linux/amd64", everything).wants.network
    said = master.admin().call("explain", Explanation, subject=made.id)
    assert any("it wants network" in fact for fact in said.facts)
    forecast = master.admin().call("job_forecast", Forecast, SubmitRequest(spec=client_spec(folder)))
    assert forecast.wants == view.wants


def client_spec(folder: Path) -> JobSpec:
    from dockercomp import jobfolder

    return jobfolder.load(folder).spec


def test_keys_are_their_owners_affair(master: RunningMaster) -> None:
    key, proof = public_key(ADA), KeyRegistration(proof=prove_possession(ADA), label="laptop")
    admin = master.admin(retries=0)
    first = admin.call("scientist_key_register", KeyView, proof, key=key)
    assert admin.call("scientist_key_register", KeyView, proof, key=key) == first
    assert first.fingerprint == fingerprint(key) and first.owner and first.label == "laptop"
    assert first in admin.call("scientist_keys", KeyList).keys
    with pytest.raises(NotFound):
        admin.call("scientist_key", KeyView, key="0" * 64)
    assert admin.call("scientist_key_revoke", KeyView, key=key).revoked
    with pytest.raises(Forbidden):
        admin.call("scientist_key_register", KeyView, proof, key=key)
    with pytest.raises(Exception, match="redentials"):
        Connection(master.url, "", retries=0).call("scientist_keys", KeyList)
