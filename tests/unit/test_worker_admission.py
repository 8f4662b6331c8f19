"""Only orders that are signed as the volunteer demands, pinned, for this platform, and consented to are run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from dockercomp.protocol.messages import SignedOrder
from dockercomp.protocol.orders import (
    ORDER_VERSION,
    ImagePin,
    JobOrder,
    ProgramSpec,
    ResourcesSpec,
    StageOrder,
    WantsSpec,
    encode_order,
)
from dockercomp.protocol.signing import (
    STATEMENT_VERSION,
    Statement,
    encode_statement,
    fingerprint,
    public_key,
    sign_order,
    sign_statement,
)
from worker.admission import Refused, admit
from worker.consent import LOCKED, Consent
from worker.gate import Gate

SEED, OTHER = bytes(32), bytes([1]) * 32
KEY = public_key(SEED)
ORDER = JobOrder(
    version=ORDER_VERSION,
    job="j1",
    name="count",
    image=ImagePin(name="dockercomp/python", config_digest="sha256:" + "a" * 64, platform="linux/amd64"),
    program="b" * 64,
    split="lines",
    stages=[StageOrder(program=ProgramSpec(command=["cat"]))],
    resources=ResourcesSpec(),
)


def signed(order: JobOrder, seed: bytes = SEED, job: str = "") -> SignedOrder:
    return sign_order(job or order.job, encode_order(order), seed)


def test_a_genuine_order_is_admitted() -> None:
    assert admit(signed(ORDER), [KEY], "linux/amd64") == ORDER


def changed(**fields: object) -> JobOrder:
    return msgspec.structs.replace(ORDER, **fields)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (signed(ORDER, OTHER), "not signed by the master"),
        (msgspec.structs.replace(signed(ORDER), body=encode_order(changed(name="other"))), "not signed by the master"),
        (msgspec.structs.replace(signed(ORDER), signature=b"short"), "not signed by the master"),
        (sign_order("j1", b"{}", SEED), "cannot be read"),
        (signed(changed(version=3)), "of version 3"),
        (signed(ORDER, job="j2"), "made for another job"),
        (signed(changed(job="../j"), job="../j"), "made for another job"),
        (signed(changed(program="../../etc")), "not named by its digest"),
        (signed(changed(image=msgspec.structs.replace(ORDER.image, config_digest="latest"))), "not pinned"),
        (signed(changed(image=msgspec.structs.replace(ORDER.image, platform="linux/arm64"))), "made for linux/arm64"),
    ],
)
def test_others_are_refused_with_the_reason(order: SignedOrder, why: str) -> None:
    with pytest.raises(Refused, match=why):
        admit(order, [KEY], "linux/amd64")


# --- two signatures --------------------------------------------------------------------------------------------------

ADA, EVE = bytes([2]) * 32, bytes([3]) * 32
BOTH = Consent(signers="both")
NOBODY: Mapping[str, str] = MappingProxyType({})


def stated(order: JobOrder = ORDER, seed: bytes = ADA, name: str = "ada", **changes: object) -> SignedOrder:
    """An order with a scientist's statement of ORDER as it is, signed by `seed`."""
    statement = encode_statement(
        Statement(version=STATEMENT_VERSION, scientist=name, nonce="1", order=msgspec.structs.replace(ORDER, job=""))
    )
    both = msgspec.structs.replace(
        signed(order),
        scientist_key=public_key(seed),
        scientist=statement,
        scientist_signature=sign_statement(statement, seed),
    )
    return msgspec.structs.replace(both, **changes)


def refusal(order: SignedOrder, consent: Consent = BOTH, known: Mapping[str, str] = NOBODY) -> str:
    try:
        admit(order, [KEY], "linux/amd64", consent, known)
    except Refused as error:
        return str(error)
    return ""


def test_an_older_key_of_the_master_may_sign_too() -> None:
    assert admit(signed(ORDER, OTHER), [KEY, public_key(OTHER)], "linux/amd64") == ORDER


@pytest.mark.parametrize(
    "consent",
    [
        BOTH,
        Consent(scientists=("ada",)),
        Consent(scientists=("bob", fingerprint(public_key(ADA)))),
        Consent(signers="both", scientists=(public_key(ADA),)),
    ],
)
def test_an_order_with_both_signatures_is_admitted(consent: Consent) -> None:
    assert refusal(stated(), consent) == ""


STRANGER = public_key(EVE)


@pytest.mark.parametrize(
    ("order", "consent", "why"),
    [
        (signed(ORDER), BOTH, "carries no scientist's signature"),
        (signed(ORDER), Consent(scientists=("ada",)), "carries no scientist's signature"),
        (stated(scientist_signature=b"short"), LOCKED, "not genuine"),
        (stated(scientist_key=STRANGER), BOTH, "not genuine"),
        (stated(scientist_key="zz"), BOTH, "not genuine"),
        (stated(scientist_key="", scientist_signature=b""), BOTH, "not genuine"),
        (stated(seed=EVE, name="eve"), Consent(scientists=("ada",)), "does not run the work of eve"),
        (stated(), Consent(scientists=(fingerprint(STRANGER),)), "does not run the work of ada"),
    ],
)
def test_without_the_signatures_that_are_demanded_it_is_refused(order: SignedOrder, consent: Consent, why: str) -> None:
    assert why in refusal(order, consent)


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": [StageOrder(program=ProgramSpec(command=["rm"]))]},
        {"program": "c" * 64},
        {"image": msgspec.structs.replace(ORDER.image, config_digest="sha256:" + "d" * 64)},
        {"environment": {"A": "1"}},
        {"setup": ["true"]},
        {"resources": ResourcesSpec(memory=2**40)},
        {"wants": WantsSpec(network=True)},
        {"parameters": {"x": [1]}},
        {"split": "range"},
        {"name": "other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_whoever_has_only_the_masters_key_can_change_nothing_of_what_the_scientist_signed(
    changes: dict[str, object],
) -> None:
    allows_all = replace(BOTH, allows=("network",))
    assert "not the one that its scientist signed" in refusal(stated(changed(**changes)), allows_all)


def test_numbers_and_truths_that_python_calls_equal_are_told_apart() -> None:
    order = changed(parameters={"x": [1], "y": [2]})
    for parameters in ({"x": [True], "y": [2]}, {"x": [1.0], "y": [2]}, {"y": [2], "x": [1]}):
        statement = Statement(
            version=1, scientist="ada", nonce="1", order=msgspec.structs.replace(order, job="", parameters=parameters)
        )
        text = encode_statement(statement)
        found = stated(order, scientist=text, scientist_signature=sign_statement(text, ADA))
        assert "not the one that its scientist signed" in refusal(found), parameters


def test_a_known_scientist_keeps_the_key_they_came_with() -> None:
    known = {"ada": STRANGER}
    assert "known to this volunteer's worker by another key" in refusal(stated(), BOTH, known)
    assert refusal(stated(), Consent(scientists=(fingerprint(public_key(ADA)),)), known) == ""


def test_the_gate_remembers_scientists_over_a_restart(tmp_path: Path) -> None:
    def gate() -> Gate:
        return Gate(tmp_path, lambda: [KEY], "linux/amd64", BOTH)

    assert gate().admit(stated()) == ORDER
    assert "by another key" in gate().objection(stated(seed=EVE))
    assert (tmp_path / "worker" / "scientists.json").stat().st_mode & 0o777 == 0o600


def test_a_refused_order_teaches_the_gate_nothing(tmp_path: Path) -> None:
    gate = Gate(tmp_path, lambda: [KEY], "linux/amd64", Consent(scientists=("bob",)))
    assert gate.objection(stated(seed=EVE)) and gate.renew(BOTH)
    assert gate.objection(stated()) == ""


# --- wants -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("want", "changes"),
    [
        ("network", {"wants": WantsSpec(network=True)}),
        ("writable_root", {"wants": WantsSpec(writable_root=True)}),
        ("capabilities", {"wants": WantsSpec(capabilities=["CHOWN"])}),
        ("device", {"wants": WantsSpec(devices=["/dev/kvm"])}),
        ("disk", {"resources": ResourcesSpec(disk=5 * 2**30)}),
    ],
)
def test_what_a_job_wants_is_refused_until_the_volunteer_allows_it(want: str, changes: dict[str, object]) -> None:
    order = signed(changed(**changes))
    assert f"DC_ALLOW={want}" in refusal(order, LOCKED)
    allowing = Consent(allows=(want,))  # type: ignore[arg-type]
    assert refusal(order, allowing) == ""
    hindered = replace(allowing, hindered=((want, "there is no firewall"),))  # type: ignore[arg-type]
    assert "there is no firewall" in refusal(order, hindered) and hindered.granted == []


@pytest.mark.parametrize("wants", [WantsSpec(capabilities=["SYS_ADMIN"]), WantsSpec(devices=["/dev/sda"])])
def test_what_nobody_can_allow_is_refused_whatever_is_allowed(wants: WantsSpec) -> None:
    everything = Consent(allows=("network", "disk", "device", "writable_root", "capabilities"))
    assert "which no volunteer can allow" in refusal(signed(changed(wants=wants)), everything)
