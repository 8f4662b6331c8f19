"""Enrolling with a master whose key is pinned: the one, those that it signed, and nobody else."""

from pathlib import Path

import pytest

from dockercomp.protocol.errors import Unavailable
from dockercomp.protocol.keychain import KeyChain, link
from dockercomp.protocol.messages import Ceiling, EnrolAnswer, EnrolRequest, Machine
from dockercomp.protocol.signing import fingerprint, public_key
from worker import identity
from worker.identity import WrongMaster
from worker.master_keys import is_pinned

SEEDS = [bytes([number]) * 32 for number in range(1, 5)]
A, B, C, THIEF = map(public_key, SEEDS)
CHAIN = KeyChain(key=C, links=[link(SEEDS[0], SEEDS[1], "t1"), link(SEEDS[1], SEEDS[2], "t2")])


def chain() -> KeyChain:
    return CHAIN


def unasked() -> KeyChain:
    raise AssertionError("nothing has to be asked")


@pytest.mark.parametrize("pin", ["", A, A.upper(), fingerprint(A)])
def test_the_key_that_is_named_is_taken_without_a_question(pin: str) -> None:
    assert is_pinned(pin, A, unasked)


@pytest.mark.parametrize("pin", [A, fingerprint(A), fingerprint(B)])
def test_a_key_that_the_pinned_one_leads_to_is_taken(pin: str) -> None:
    assert is_pinned(pin, C, chain)


def test_another_key_is_not() -> None:
    assert not is_pinned(fingerprint(A), THIEF, chain)
    assert not is_pinned(fingerprint(A), "no key at all", chain)


def test_whoever_claims_to_have_signed_the_pinned_key_is_not_taken() -> None:
    """A thief can sign what follows their own key, and say what came before it, but not in the pinned key's name."""
    before = KeyChain(key=THIEF, links=[link(SEEDS[3], SEEDS[0], "t")])
    assert not is_pinned(A, THIEF, lambda: before)
    genuine, own = link(SEEDS[0], SEEDS[1], "t"), link(SEEDS[3], SEEDS[3], "t")
    forged = [
        type(genuine)(statement=link(SEEDS[0], SEEDS[3], "t").statement, by_old=own.by_old, by_new=own.by_new),
        genuine,
    ]
    assert not is_pinned(A, THIEF, lambda: KeyChain(key=THIEF, links=forged))


def test_a_worker_that_has_enrolled_takes_the_newer_pin_of_its_own_master() -> None:
    assert is_pinned(fingerprint(C), A, chain, kept=True)
    assert not is_pinned(fingerprint(C), A, chain)


# --- enrolling -------------------------------------------------------------------------------------------------------


def enrol(folder: Path, key: str, pin: str) -> identity.Identity:
    def answer(request: EnrolRequest) -> EnrolAnswer:
        return EnrolAnswer(client="c1", secret="s", master_key=key, owner="lab")

    machine = Machine(hostname="h", cpus=1, memory=1, disk_free=1, platform="linux/amd64")
    most = Ceiling(containers=1, cpus=1, memory=1)
    return identity.ensure(
        folder, "t", machine, most, answer, lambda shown, kept: is_pinned(pin, shown, chain, kept=kept)
    )


def test_enrolling_with_another_master_is_refused_and_leaves_no_identity(tmp_path: Path) -> None:
    with pytest.raises(WrongMaster, match="somebody who poses as yours"):
        enrol(tmp_path, THIEF, fingerprint(A))
    known = identity.load(tmp_path)
    assert known is not None and known.client == "" and known.secret == ""
    assert enrol(tmp_path, A, fingerprint(A)).client == "c1"


def test_a_pin_that_is_edited_later_is_checked_too(tmp_path: Path) -> None:
    enrol(tmp_path, A, "")
    with pytest.raises(WrongMaster):
        enrol(tmp_path, A, THIEF)
    assert enrol(tmp_path, A, C).master_key == A


def test_where_the_master_cannot_be_asked_nothing_is_decided(tmp_path: Path) -> None:
    def offline() -> KeyChain:
        raise Unavailable("no answer")

    with pytest.raises(Unavailable):
        is_pinned(A, C, offline)
