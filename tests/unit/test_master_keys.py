"""Which keys of its master a worker accepts: the pinned one and what follows it by signatures, also after a restart."""

from pathlib import Path

import pytest

from dockercomp.protocol.errors import Unavailable
from dockercomp.protocol.keychain import KeyChain, link
from dockercomp.protocol.signing import public_key
from worker import master_keys
from worker.master_keys import MasterKeys

SEEDS = [bytes([number]) * 32 for number in range(1, 5)]
A, B, C, X = map(public_key, SEEDS)
CHAIN = KeyChain(key=C, links=[link(SEEDS[0], SEEDS[1], "t1"), link(SEEDS[1], SEEDS[2], "t2")])


def unreachable() -> KeyChain:
    raise Unavailable("no answer")


def test_a_key_that_follows_the_pinned_one_is_accepted_and_stays_so_without_a_line(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    keys = MasterKeys(tmp_path, A, lambda: CHAIN)
    assert set(keys.accepted()) == {A}
    keys.meet(C)
    assert set(keys.accepted()) == {A, B, C}
    assert set(MasterKeys(tmp_path, A, unreachable).accepted()) == {A, B, C}
    assert set(MasterKeys(tmp_path, X, unreachable).accepted()) == {X}, "enrolled with another master since"


def test_a_key_that_nobody_signed_is_not_accepted_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    thief = KeyChain(key=X, links=[link(SEEDS[3], SEEDS[3], "t")])
    keys = MasterKeys(tmp_path, A, lambda: thief)
    keys.meet(X)
    assert set(keys.accepted()) == {A}
    assert set(MasterKeys(tmp_path, A, unreachable).accepted()) == {A}


def test_the_master_is_not_asked_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worker").mkdir()
    asked = []

    def chain() -> KeyChain:
        asked.append(1)
        raise Unavailable("no answer")

    keys = MasterKeys(tmp_path, A, chain)
    for _ in range(5):
        keys.meet(B)
    assert len(asked) == 1
    monkeypatch.setattr(master_keys, "ASK_EVERY_S", 0.0)
    keys.meet(B)
    assert len(asked) == 2


def test_a_broken_file_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "master_keys.json").write_text("not json")
    keys = MasterKeys(tmp_path, A, lambda: CHAIN)
    keys.meet(B)
    assert set(keys.accepted()) == {A, B, C}


def test_a_key_that_cannot_be_written_holds_until_a_restart(tmp_path: Path) -> None:
    keys = MasterKeys(tmp_path, A, lambda: CHAIN)
    (tmp_path / "worker" / "master_keys.json").mkdir(parents=True)
    with pytest.raises(OSError, match="master_keys"):
        keys.meet(C)
    assert set(keys.accepted()) == {A, B, C}
