"""Changing the master's signing key on a real store: the chain is public, orders are signed anew, a crash is mended."""

from pathlib import Path

import pytest

from dockercomp.protocol.keychain import kin, predecessors, successors
from dockercomp.protocol.messages import SignedOrder
from dockercomp.protocol.signing import order_is_genuine, public_key
from server import signing_keys
from server.settings import Settings, read_secrets
from server.signing_keys import Keys, KeyStays
from server.store import Store
from tests.integration.simulated import Master


@pytest.fixture
def home(store: Store, settings: Settings) -> Path:
    """The DC_HOME of a master that has been started."""
    own = read_secrets(settings.home)
    store.duties.identity({"public_key": public_key(own.signing_seed), "blob_store": own.blob_store})
    return settings.home


def key_of(home: Path) -> str:
    return public_key(read_secrets(home).signing_seed)


def order_of(store: Store, job: str) -> SignedOrder:
    found = store.jobs.orders([job])[0]
    return SignedOrder(job=job, body=found["order"], key=found["key"], signature=found["signature"])


def test_a_new_key_follows_the_old_one_and_signs_every_order_again(store: Store, home: Path) -> None:
    job = Master(store).submit(3)
    body, first = order_of(store, job).body, key_of(home)
    second = signing_keys.rotate(home, store)
    third = signing_keys.rotate(home, store)
    chain = Keys(store).chain()
    assert third == chain.key == key_of(home)
    assert len({first, second, third}) == 3
    assert successors(first, chain.links) == [first, second, third]
    assert predecessors(third, chain.links) == [second, first]
    assert order_of(store, job).body == body, "not a byte of an order changes"
    assert order_is_genuine(order_of(store, job), third)
    assert sorted(path.name for path in (home / "secrets").iterdir()) == ["flask.key", "signing.key"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["succeed", "write", "replace", "sign", "signed"])
def test_a_change_that_was_cut_off_is_finished_or_was_none(
    store: Store, home: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, before = Master(store).submit(3), key_of(home)

    moved = Path.replace

    def kill(*_: object) -> None:
        raise Killed

    def kill_move(path: Path, to: Path) -> Path:
        if to.name == "signing.key":
            raise Killed
        return moved(path, to)

    place = {
        "write": (signing_keys, "write_private"),
        "succeed": (store.duties, "succeed"),
        "replace": (Path, "replace"),
        "sign": (store.jobs, "sign_again"),
        "signed": (store.duties, "orders_signed"),
    }[step]
    with monkeypatch.context() as patched:
        patched.setattr(*place, kill_move if step == "replace" else kill)
        with pytest.raises(Killed):
            signing_keys.rotate(home, store)
    signing_keys.finish(home, store)
    chain = Keys(store).chain()
    assert chain.key == key_of(home), "what signs is what is shown"
    assert before in kin(chain.key, chain.links)
    assert (chain.key == before) == (step in ("write", "succeed"))
    if chain.key != before:
        assert order_is_genuine(order_of(store, job), chain.key)
    again = signing_keys.rotate(home, store)
    assert again == key_of(home) == Keys(store).chain().key
    assert before in predecessors(again, Keys(store).chain().links)
    assert order_is_genuine(order_of(store, job), again)


def test_a_master_with_another_key_does_not_change_it(store: Store, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    read_secrets(other)
    before = Keys(store).chain()
    with pytest.raises(KeyStays, match="not the one that this database's master signs with"):
        signing_keys.rotate(other, store)
    assert Keys(store).chain() == before


def test_the_key_stays_while_another_master_runs(store: Store, home: Path) -> None:
    before = key_of(home)
    store.duties.hold("housekeeping", "elsewhere/7", 60)
    with pytest.raises(KeyStays, match="another master of this database runs \\(elsewhere/7\\)"):
        signing_keys.rotate(home, store)
    assert key_of(home) == Keys(store).chain().key == before
    store.duties.give_up("housekeeping", "elsewhere/7")
    assert signing_keys.rotate(home, store) == key_of(home) != before
