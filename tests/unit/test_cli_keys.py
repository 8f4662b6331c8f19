"""The scientist's key: made at the first submission, registered, kept from others' eyes, listed and revoked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp import keys
from dockercomp.cli import run
from dockercomp.client import Client
from dockercomp.keys import KeyFileError
from dockercomp.protocol.errors import Forbidden, UnknownImage
from dockercomp.protocol.ordering import order_of
from dockercomp.protocol.signing import decode_statement, fingerprint, public_key, statement_is_genuine, states
from dockercomp.protocol.views import SubmitRequest
from tests.unit.fake_api import PIN, TOKEN, FakeMaster, serving


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeMaster]:
    with serving() as found:
        monkeypatch.setenv("DC_SIGNING_KEY", str(tmp_path / "keys" / "mine"))
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "job"
    place.mkdir()
    (place / "job.toml").write_text(
        'name = "n"\nimage = "dockercomp/python"\n[input]\nsplit = "range"\nstop = 3\n[map]\ncommand = ["true"]\n'
    )
    return place


def submitted(master: FakeMaster, folder: Path) -> SubmitRequest:
    with Client(master.url, TOKEN) as client:
        client.submit(folder)
    return master.submitted[-1][1]


def test_the_first_submission_makes_and_registers_a_key_that_signs_all(
    master: FakeMaster, folder: Path, tmp_path: Path
) -> None:
    first, second = submitted(master, folder), submitted(master, folder)
    path = tmp_path / "keys" / "mine"
    assert path.stat().st_mode & 0o777 == 0o600 and list(path.parent.iterdir()) == [path]
    key = public_key(keys.seed_at(path))
    assert master.calls.count("scientist_key_register") == 1 and list(master.keys) == [key]
    for request in (first, second):
        assert request.scientist_key == key and statement_is_genuine(request.statement, request.signature, key)
        statement = decode_statement(request.statement)
        assert statement.scientist == "ada" and states(statement, order_of(request.spec, PIN, request.program, "j1"))
    assert decode_statement(first.statement).nonce != decode_statement(second.statement).nonce


def test_an_image_that_is_not_the_one_meant_is_not_signed(master: FakeMaster, folder: Path) -> None:
    text = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text(text.replace("dockercomp/python", f"dockercomp/python@{PIN.config_digest}"))
    assert decode_statement(submitted(master, folder).statement).order.image == PIN
    (folder / "job.toml").write_text(text.replace("dockercomp/python", "dockercomp/python@sha256:" + "9" * 64))
    with pytest.raises(UnknownImage, match="push that one"):
        submitted(master, folder)


def test_calls_of_python_functions_are_signed(master: FakeMaster) -> None:
    with Client(master.url, TOKEN) as client, pytest.raises(Exception):  # noqa: B017  (the fake runs nothing)
        list(client.map(abs, [-1], timeout=0.01))
    request = master.submitted[-1][1]
    assert statement_is_genuine(request.statement, request.signature, request.scientist_key)


def test_without_a_key_the_masters_signature_is_alone(
    master: FakeMaster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DC_SIGNING_KEY", "none")
    request = submitted(master, folder)
    assert (request.scientist_key, request.statement, master.keys) == ("", b"", {})


@pytest.mark.parametrize(("text", "mode", "why"), [("no key", 0o600, "not a signing key"), ("", 0o644, "chmod 600")])
def test_a_key_file_that_cannot_be_used_is_named(
    master: FakeMaster, folder: Path, tmp_path: Path, text: str, mode: int, why: str
) -> None:
    path = tmp_path / "keys" / "mine"
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=why):
        submitted(master, folder)
    assert not master.submitted


def test_two_that_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "scientist.key"
    keys._make(path)
    seed = keys.seed_at(path)
    keys._make(path)
    assert keys.seed_at(path) == seed and list(tmp_path.iterdir()) == [path]


def test_it_is_kept_beside_the_credentials_of_that_master(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "DC_HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials.json").write_text('{"url": "http://m:1", "token": "t"}')
    assert keys.place("http://m:1", environ) == tmp_path / "home" / "scientist.key"
    assert keys.place("http://other:1", environ) == tmp_path / "config" / "dockercomp" / "scientist.key"


def test_keys_are_listed_and_revoked_by_the_beginning_of_their_fingerprint(
    master: FakeMaster, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--url", master.url, "--token", TOKEN]
    key = submitted(master, folder).scientist_key
    assert run(["key", "list", *options]) == 0
    listed = capsys.readouterr().out
    assert fingerprint(key) in listed and "keys/mine" in listed
    assert run(["key", "revoke", "00000000", *options]) == 2
    assert run(["key", "revoke", fingerprint(key)[:20], *options]) == 0
    assert "is revoked" in capsys.readouterr().out
    with pytest.raises(Forbidden, match="remove the file"):
        submitted(master, folder)
