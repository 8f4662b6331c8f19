"""Where one may connect to for another who names a URL: nowhere inside one's own network, unless told otherwise.

A job's inputs and its `notify` are URLs chosen by scientists. Without this rule the master, or a volunteer's worker,
would fetch for them what only it can reach: its database, a cloud's metadata, the neighbours' printers. The name is
resolved and every address judged before connecting (`check_url`), and the address really connected to is judged again
(`session`), so that a name which answers differently the second time gains nothing.
"""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Retry

from .errors import Forbidden

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_url(url: str, *, allow_private: bool) -> None:
    """Whether one may read or post to `url` (http, https), redirects not followed.

    Raises Forbidden where it may not, requests.ConnectionError where the host's name is not known.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Forbidden(f"{url} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Forbidden(f"{url} is not an http:// or https:// URL")
    if allow_private:
        return
    try:
        found = socket.getaddrinfo(host, port or parts.scheme, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise requests.ConnectionError(f"the host {host} is not known: {error}") from error
    for *_, address in found:
        check_address(str(address[0]), host)


def check_address(address: str, host: str) -> None:
    """Raises Forbidden where `address`, which `host` stands for, is not one of the public internet."""
    if not is_public(address):
        raise Forbidden(f"{host} is {address}, an address of somebody's own network and not of the public internet")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also where it hides an IPv4 address in an IPv6 one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def session(*, allow_private: bool, retries: Retry | None = None) -> requests.Session:
    """A session that refuses, as a requests.ConnectionError, to speak to an address that is not allowed. Through a
    proxy, which the machine's owner configured, only check_url judges."""
    made = requests.Session()
    adapter = HTTPAdapter(max_retries=retries or 0) if allow_private else _PublicOnly(max_retries=retries or 0)
    for scheme in ("http://", "https://"):
        made.mount(scheme, adapter)
    return made


class _PublicOnly(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


def _checked(connected: socket.socket, host: str) -> socket.socket:
    """The socket, before a byte was sent over it."""
    try:
        check_address(str(connected.getpeername()[0]), host)
    except Forbidden as error:
        connected.close()
        raise requests.ConnectionError(str(error)) from error
    return connected


class _PlainConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn(), self.host)


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn(), self.host)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
