"""The nginx configuration that we ship, before a real master: what passes, what is believed, what waits."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from dockercomp.protocol.messages import EnrolAnswer, EnrolRequest, SyncAnswer
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import ClientView, Health
from server import tls
from tests.integration.masters import RunningMaster, free_port, running_master
from tests.integration.simulated import CEILING, MACHINE
from tests.integration.test_api import sync_of
from tests.waiting import wait_until

SHIPPED = Path(__file__).resolve().parents[2] / "docker" / "nginx.conf"


@dataclass
class Site:
    """A master behind nginx. Its threads are two, its proxy's connections many."""

    master: RunningMaster
    url: str
    port: int
    plain_port: int
    certificate: Path

    @property
    def pin(self) -> str:
        return tls.fingerprint(self.certificate)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    assert shutil.which("nginx"), "these tests need nginx: apt-get install nginx-light"
    port, plain_port, folder = free_port(), free_port(), Path(tempfile.mkdtemp(prefix="dc-nginx"))
    url = f"https://127.0.0.1:{port}"
    proxied = {"DC_PUBLIC_URL": url, "DC_PROXY_HOPS": "1", "DC_WORKERS": "1", "DC_THREADS": "2"}
    with running_master(tmp_path_factory.mktemp("proxied"), **proxied) as master:
        certificate, key = tls.self_signed(folder, ["127.0.0.1"])
        written = configured(folder, certificate, key, port, plain_port, master.settings.port)
        process = subprocess.Popen(["nginx", "-c", str(written), "-p", str(folder), "-g", "daemon off;"])
        try:
            found = Site(master, url, port, plain_port, certificate)
            wait_until(lambda: listens(port))
            yield found
        finally:
            process.terminate()
            process.wait(20)
            shutil.rmtree(folder)


def configured(folder: Path, certificate: Path, key: Path, port: int, plain_port: int, master: int) -> Path:
    """The shipped file with this test's places in it, each of which must be there."""
    text = SHIPPED.read_text()
    for place, ours in (
        ("127.0.0.1:8080", f"127.0.0.1:{master}"),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/etc/ssl/dockercomp/fullchain.pem", str(certificate)),
        ("/etc/ssl/dockercomp/privkey.pem", str(key)),
        ("access_log off;", f"access_log off; error_log {folder}/error.log;"),
        ("worker_processes auto;", f"worker_processes 1; user root; pid {folder}/pid;"),
    ):
        assert place in text, place
        text = text.replace(place, ours, 1)
    written = folder / "nginx.conf"
    written.write_text(text)
    return written


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def enrolled(site: Site, **headers: str) -> tuple[str, str]:
    request = EnrolRequest(
        token=site_token(site), machine=MACHINE, ceiling=CEILING, request=headers.get("name", "a" * 16)
    )
    answer = Connection(site.url, pin=site.pin).call("enrol", EnrolAnswer, request, headers=headers)
    return answer.client, f"{answer.client}.{answer.secret}"


def site_token(site: Site) -> str:
    from dockercomp.protocol.views import TokenAnswer, TokenRequest

    admin = Connection(site.url, site.master.admin_token, pin=site.pin)
    return admin.call("enrolment_token", TokenAnswer, TokenRequest(owner="lab", uses=100)).token


def test_the_address_of_a_caller_is_what_the_proxy_says_and_nobody_else(site: Site) -> None:
    client, _ = enrolled(site, **{"X-Forwarded-For": "203.0.113.9", "name": "b" * 16})
    admin = Connection(site.url, site.master.admin_token, pin=site.pin)
    assert admin.call("client", ClientView, client=client).address == "127.0.0.1"


def test_secure_cookies_hsts_and_links_of_the_public_name(site: Site) -> None:
    page = requests.get(
        f"{site.url}/login", verify=str(site.certificate), headers={"X-Forwarded-Proto": "http"}, timeout=10
    )
    assert "Strict-Transport-Security" in page.headers
    assert "Secure" in page.headers["Set-Cookie"]
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    script = requests.get(f"{site.url}/installer.sh", verify=str(site.certificate), headers=forged, timeout=10).text
    assert f"DC_SERVED_URL='{site.url}'" in script and "evil.example" not in script


def test_plain_http_is_sent_to_the_configured_name(site: Site) -> None:
    asked = requests.get(
        f"http://127.0.0.1:{site.plain_port}/jobs", headers={"Host": "evil.example"}, allow_redirects=False, timeout=10
    )
    assert (asked.status_code, asked.headers["Location"]) == (301, "https://compute.example.org/jobs")


def test_a_sync_answers_while_many_dribble(site: Site) -> None:
    _, token = enrolled(site)
    trust = ssl.create_default_context(cafile=str(site.certificate))
    with contextlib.ExitStack() as dribblers:
        for number in range(50):
            raw = dribblers.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=30))
            each = dribblers.enter_context(trust.wrap_socket(raw, server_hostname="127.0.0.1"))
            each.sendall(
                b"POST /api/v1/sync HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999\r\n"
                + b"\r\nx" * (number % 2)
            )
        connection = Connection(site.url, token, retries=0, timeout=10, pin=site.pin)
        for seq in range(1, 6):
            connection.call("sync", SyncAnswer, sync_of(seq))


def test_metrics_are_not_for_strangers(site: Site) -> None:
    assert requests.get(f"{site.url}/metrics", verify=str(site.certificate), timeout=10).status_code == 403
    assert Connection(site.url, pin=site.pin).call("healthz", Health).status == "ok"
