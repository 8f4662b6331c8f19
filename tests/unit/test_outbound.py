"""Where the master may connect to for a scientist: judged by the name, and again by the address connected to."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import requests

from dockercomp.protocol.errors import Forbidden
from server import outbound


@pytest.fixture
def local_url() -> Iterator[str]:
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"secret")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hello)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
        *("::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1"),
        *("224.0.0.1", "ff02::1", "255.255.255.255", "::"),
    ],
)
def test_addresses_of_ones_own_network_are_not_public(address: str) -> None:
    assert not outbound.is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert outbound.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:27017/", "http://localhost/", "https://[::1]/x", "http://2130706433/", "http://0x7f.1/"),
        *(
            "file:///etc/passwd",
            "ftp://example.org/",
            "gopher://x/",
            "http://",
            "nonsense",
            "http://[::1",
            "http://a:b/",
        ),
    ],
)
def test_what_may_not_be_fetched(url: str) -> None:
    with pytest.raises(Forbidden):
        outbound.check_url(url, allow_private=False)


def test_one_private_address_among_others_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Forbidden, match=r"10\.0\.0\.1.*DC_PRIVATE_URLS=yes"):
        outbound.check_url("http://two.example/", allow_private=False)


def test_an_unknown_host_is_no_refusal() -> None:
    with pytest.raises(requests.ConnectionError, match="not known"):
        outbound.check_url("http://nobody.invalid/", allow_private=False)


def test_a_name_that_was_public_when_asked_and_is_private_when_connected_gains_nothing(local_url: str) -> None:
    """DNS rebinding: the check was passed, the connection goes inside."""
    with (
        outbound.session(allow_private=False) as session,
        pytest.raises(requests.ConnectionError, match="own network"),
    ):
        session.get(local_url, timeout=5)


def test_the_admin_may_allow_it(local_url: str) -> None:
    outbound.check_url(local_url, allow_private=True)
    with outbound.session(allow_private=True) as session:
        assert session.get(local_url, timeout=5).content == b"secret"
