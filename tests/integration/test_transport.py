"""TLS of our own, what is pinned, and what a master believes of what a request says about its way."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dockercomp.client import Client
from dockercomp.machine import supervisor
from dockercomp.protocol.errors import Unavailable
from dockercomp.protocol.signing import fingerprint, public_key
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import Health, TokenAnswer, TokenRequest
from server import instance, tls
from server.settings import KEYS, read, read_secrets
from tests.integration.masters import RunningMaster, running_master

CHECKOUT = Path(__file__).resolve().parents[2]
OTHER = {
    "DC_KEEP_JOBS_DAYS": "77",
    "DC_KEEP_ADDRESSES_DAYS": "3",
    "DC_QUOTA_JOBS": "5",
    "DC_THREADS": "4",
    "DC_WORKERS": "1",
}


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    """A master with a certificate of its own."""
    with running_master(tmp_path_factory.mktemp("tls"), DC_TLS_SELF_SIGNED="yes", **OTHER) as running:
        yield running


def test_a_pinned_certificate_is_trusted_whatever_the_environment_says(
    master: RunningMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    assert master.url.startswith("https://")
    assert Connection(master.url, retries=0, pin=master.pin).call("readyz", Health).status == "ok"


def test_without_the_pin_or_with_another_nothing_is_sent(master: RunningMaster) -> None:
    for pin in ("", f"sha256:{'0' * 64}"):
        with pytest.raises(Unavailable):
            Connection(master.url, "secret", retries=0, pin=pin).call("readyz", Health)


def test_a_pin_is_never_passed_by_with_plain_http() -> None:
    with pytest.raises(ValueError, match="plain HTTP"):
        Connection("http://127.0.0.1:1", pin=f"sha256:{'0' * 64}")


def test_a_scientists_client_pins_what_its_credentials_say(
    master: RunningMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DC_HOME", str(master.home))
    with Client() as client:
        assert list(client.jobs()) == []
    monkeypatch.setenv("DC_TLS_PIN", f"sha256:{'0' * 64}")
    with Client(retries=0) as client, pytest.raises(Unavailable):
        list(client.jobs())


def test_the_certificate_is_kept_and_answers_for_the_masters_names(master: RunningMaster) -> None:
    certificate = master.home / "secrets" / "tls" / "certificate.pem"
    before = certificate.read_bytes()
    assert tls.self_signed(certificate.parent, ["elsewhere"])[0].read_bytes() == before
    assert (certificate.parent / "key.pem").stat().st_mode & 0o077 == 0
    shown = requests.get(f"{master.url}/healthz", verify=str(certificate), timeout=10)
    assert shown.status_code == 200
    assert shown.headers["Strict-Transport-Security"].startswith("max-age=")


def test_the_command_for_volunteers_pins_the_certificate(master: RunningMaster) -> None:
    made = master.admin().call("enrolment_token", TokenAnswer, TokenRequest(owner="lab"))
    fetch = made.command.removesuffix(" | sh")
    fetched = subprocess.run(["sh", "-c", fetch], capture_output=True, text=True, check=True)
    assert f"DC_SERVED_PIN='{master.pin}'" in fetched.stdout
    wrong = fetch.replace("sha256//", "sha256//AAAA")
    assert subprocess.run(["sh", "-c", wrong], capture_output=True, check=False).returncode != 0


def test_the_installer_names_the_configured_master_whatever_the_request_says(master: RunningMaster) -> None:
    forged = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example",
    }
    script = master.admin().request("installer", headers=forged, params={"token": "x'; reboot; '"}).text
    assert "evil.example" not in script and "reboot" not in script
    assert f"DC_SERVED_URL='{master.url}'" in script
    key = public_key(read_secrets(master.home).signing_seed)
    assert f"DC_SERVED_KEY='{fingerprint(key)}'" in script


def test_the_installer_refuses_another_certificate(master: RunningMaster, tmp_path: Path) -> None:
    said = installed(master, tmp_path, f"sha256:{'0' * 64}")
    assert "not the pinned" in said
    assert not (tmp_path / "dc").exists()


def test_the_installer_goes_on_with_the_pinned_certificate(master: RunningMaster, tmp_path: Path) -> None:
    """It fetches the worker's package, which this master has not built."""
    assert "/worker/wheel.json: HTTP 404" in installed(master, tmp_path, master.pin)


def installed(master: RunningMaster, folder: Path, pin: str) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "DC_HOME": str(folder / "dc")}
    where = ("--host", "127.0.0.1", "--port", str(master.settings.port), "--tls-pin", pin, "--token", "x", "--yes")
    shutil.copy(CHECKOUT / "installer.sh", folder / "installer.sh")
    done = subprocess.run(
        ["sh", str(folder / "installer.sh"), *where],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stdout + done.stderr


def test_up_or_down_by_the_pinned_certificate(master: RunningMaster) -> None:
    def asked(pin: str) -> str:
        environ = {
            "PATH": os.environ["PATH"],
            "DC_PORT": str(master.settings.port),
            "DC_SCHEME": "https",
            "DC_TLS_PIN": pin,
        }
        program = [sys.executable, str(CHECKOUT / "worker" / "test_server_conn")]
        return subprocess.run(program, env=environ, capture_output=True, text=True, check=False).stdout.strip()

    assert asked(master.pin) == "UP"
    assert asked(f"sha256:{'0' * 64}").startswith("DOWN: the certificate of 127.0.0.1 is not trusted")


def test_a_worker_is_set_up_with_the_pin_of_its_configuration(master: RunningMaster) -> None:
    from worker import settings as workers
    from worker.master_client import MasterClient

    environ = {"DC_HOME": "/nonexistent", "DC_PORT": str(master.settings.port), "DC_SCHEME": "https"}
    found = workers.read({**environ, "DC_TLS_PIN": master.pin})
    assert abs(MasterClient(found.url, pin=found.tls_pin).clock_offset()) < 60
    with pytest.raises(Unavailable):
        MasterClient(found.url, pin=workers.read(environ).tls_pin).clock_offset()


def test_every_key_reaches_every_process_of_the_master(master: RunningMaster) -> None:
    found = supervisor.status(master.home, "server")
    assert found is not None
    started = instance.as_started(read({"DC_HOME": str(master.home)}))
    assert {"master", "housekeeping"} <= set(found.programs)
    for name in ("master", "housekeeping"):
        raw = Path(f"/proc/{found.programs[name].pid}/environ").read_text().split("\0")
        environ = dict(line.split("=", 1) for line in raw if "=" in line)
        assert set(environ) >= KEYS
        assert read(environ) == started
        assert read(environ).keep_jobs_days == 77


def test_the_way_back_to_a_master_that_was_started_with_options(master: RunningMaster) -> None:
    """Without the options that it was started with, the address is still the one that it has."""
    bare = read({"DC_HOME": str(master.home), "DC_PORT": str(master.settings.port)})
    assert bare.url.startswith("http://")
    assert instance.login_link(bare).startswith(f"{master.url}/login/")
    assert json.loads((master.home / "credentials.json").read_text())["url"] == master.url


def test_a_proxy_of_the_environment_is_used_and_the_pin_holds_behind_it(
    master: RunningMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tunnels() as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        url = f"https://master.example:{master.settings.port}"
        assert Connection(url, retries=0, pin=master.pin).call("healthz", Health).status == "ok"
        assert [line.rsplit(" ", 1)[0] for line in asked] == [f"CONNECT master.example:{master.settings.port}"]
        with pytest.raises(Unavailable):
            Connection(url, retries=0, pin=f"sha256:{'0' * 64}").call("healthz", Health)


class Tunnels:
    """A forward proxy that takes CONNECT, and leads to loopback whatever name it is given; yields its port and the
    lines that it was asked."""

    def __enter__(self) -> tuple[int, list[str]]:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._asked: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._listener.getsockname()[1]), self._asked

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(4096)
            line = head.split(b"\r\n")[0].decode()
            self._asked.append(line)
            far = socket.create_connection(("127.0.0.1", int(line.split()[1].rpartition(":")[2])))
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()
