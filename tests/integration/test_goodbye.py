"""A worker that is removed says so to its own master, and tells nobody else its secret."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dockercomp.machine import goodbye
from dockercomp.machine.removal import MARKER, Removal
from server import tls


class Master(HTTPServer):
    """Speaks TLS with a certificate that no authority signed."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), Answer)
        self.certificate, key = tls.self_signed(folder, ["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Master)
        self.server.heard.append((self.path, self.headers["Authorization"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    with Master(tmp_path / "tls") as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def installed(home: Path, master: Master, pin: str) -> Path:
    (home / "worker").mkdir(parents=True)
    (home / "worker" / "identity.json").write_text(json.dumps({"client": "c1", "secret": "s1"}))
    (home / "worker" / "status.json").write_text(json.dumps({"master": master.url}))
    (home / "configuration").write_text(f"DC_TLS_PIN={pin}\n")
    return home


def test_a_master_whose_certificate_is_pinned_hears_it(
    master: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    pin = tls.fingerprint(master.certificate).upper().replace("SHA256", "sha256")
    home = installed(tmp_path / "home", master, pin)
    (home / MARKER).touch()
    (home / "docker").mkdir()  # its own engine, so that no other one is asked for what it holds
    monkeypatch.setattr("dockercomp.machine.removal.candidates", lambda *_: [])
    removal = Removal(home, lambda _: None)
    removal.run()
    assert removal.problems == [] and not home.exists()
    assert master.heard == [("/api/v1/retire", "Bearer c1.s1")]


@pytest.mark.parametrize("pin", [f"sha256:{'ab' * 32}", ""])
def test_another_certificate_is_told_nothing_and_holds_up_no_removal(master: Master, tmp_path: Path, pin: str) -> None:
    goodbye.say(installed(tmp_path / "home", master, pin))
    assert master.heard == []
